"""Whether the live table is what the model says: the database's word, for the command ``doctor``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Column, Table, inspect, text
from sqlalchemy.engine import Connection, Inspector

from flask_aegis_machines._records import MACHINE_FIELDS

__all__ = ["problems_of", "problems_of_tables"]

_CODE_LENGTH, _FACT_LENGTH = 32, 255

_MYSQL = text(
    """
    SELECT collation_name, engine
    FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
    WHERE table_schema = coalesce(:schema, database()) AND table_name = :table AND column_name = :column
    """
)
_POSTGRESQL_EXACT = text(
    """
    SELECT typname <> 'citext' AND coalesce(collisdeterministic, true)
    FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
    LEFT JOIN pg_collation ON pg_collation.oid = attcollation
    WHERE attrelid = to_regclass(:table) AND attname = :column
    """
)
_SQLITE_COLLATIONS = text(
    """
    SELECT key.coll FROM pragma_index_list(:table) AS key_of, pragma_index_xinfo(key_of.name) AS key
    WHERE key_of."unique" AND key.name = :column
    """
)


def problems_of_tables(connection: Connection, tables: Iterable[Any]) -> list[str]:
    """Tell which tables are missing.

    Args:
        connection: A connection to their database.
        tables: Tables of the host's.

    Returns:
        A sentence for each table that is not there, which says what to do.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: The database cannot be asked.
    """
    found = inspect(connection)
    return [
        f"There is no table {table.name}: make it by a migration."
        for table in tables
        if not found.has_table(table.name, schema=table.schema)
    ]


def problems_of(connection: Connection, columns: dict[str, Column[Any]]) -> list[str]:
    """Compare the live table of machines with what the store needs of it.

    Args:
        connection: A connection to its database.
        columns: The columns of the host's model, by attribute.

    Returns:
        A sentence for each problem, which says what to do; none where all is well.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: The database cannot be asked.
    """
    code = columns["machine_code"]
    table: Any = code.table
    if missing_tables := problems_of_tables(connection, [table]):
        return missing_tables
    found = inspect(connection)
    types = {column["name"]: column["type"] for column in found.get_columns(table.name, schema=table.schema)}
    if missing := [column.name for column in columns.values() if column.name not in types]:
        return [f"Table {table.name} has no column {', '.join(missing)}: add it by a migration."]
    problems = []
    # With those that SQLite makes of a constraint: SQLAlchemy does not recognize each UNIQUE by its text.
    indexes = found.get_indexes(table.name, schema=table.schema, include_auto_indexes=True)
    if [code.name] not in _unique_keys(found, table, indexes):
        problems.append(
            f"Nothing in the live table {table.name} makes {code.name} unique, so a machine could get two "
            "owners: give it a unique index by a migration."
        )
    for name in (*MACHINE_FIELDS, "attempt"):
        needed = _CODE_LENGTH if name in ("machine_code", "attempt") else _FACT_LENGTH
        length = getattr(types[columns[name].name], "length", None) or needed
        if length < needed:
            problems.append(
                f"Column {columns[name].name} holds {length} characters of {needed}: make it longer."
            )
    moment = columns["registered_at"].name
    if connection.dialect.name == "postgresql" and not getattr(types[moment], "timezone", True):
        problems.append(
            f"Column {moment} keeps no time zone, so its moments are those of the zone of each session: make "
            "it TIMESTAMP WITH TIME ZONE."
        )
    problems += _problems_of_keeping(connection, table, code)
    page = [columns[name].name for name in ("user_id", "registered_at", "machine_code")]
    if page not in [list(index["column_names"])[: len(page)] for index in indexes]:
        problems.append(
            f"Pages of the list get slower as a user's machines grow: add an index on {', '.join(page)}."
        )
    return problems


def _unique_keys(found: Inspector, table: Table, indexes: list[Any]) -> list[list[str | None]]:
    """Return the columns of each unique key that holds for every row and for whole values."""
    keys: list[list[str | None]] = []
    for index in indexes:
        options = index.get("dialect_options", {})
        if index["unique"] and not any(name.endswith(("_where", "_length")) for name in options):
            keys.append(list(index["column_names"]))
    for constraint in found.get_unique_constraints(table.name, schema=table.schema):
        if "duplicates_index" not in constraint:  # else it is one of those above, told without its options
            keys.append(list(constraint["column_names"]))
    keys.append(list(found.get_pk_constraint(table.name, schema=table.schema)["constrained_columns"]))
    return keys


def _problems_of_keeping(connection: Connection, table: Table, code: Column[Any]) -> list[str]:
    """Tell whether codes are compared exactly, and kept with transactions."""
    values = {"schema": table.schema, "table": table.name, "column": code.name}
    exact, engine = True, "InnoDB"
    if connection.dialect.name in ("mysql", "mariadb"):
        collation, engine = connection.execute(_MYSQL, values).one()
        exact = str(collation).endswith(("_bin", "_cs"))
    elif connection.dialect.name == "postgresql":
        values["table"] = connection.dialect.identifier_preparer.format_table(table)
        exact = bool(connection.execute(_POSTGRESQL_EXACT, values).scalar())
    elif connection.dialect.name == "sqlite":
        exact = set(connection.execute(_SQLITE_COLLATIONS, values).scalars()) <= {"BINARY"}
    problems = []
    if not exact:
        problems.append(
            f"Column {code.name} does not compare exactly, so different codes count as one: give it a binary "
            "collation, as MachineMixin does."
        )
    if engine != "InnoDB":
        problems.append(f"Table {table.name} is kept by {engine}: let InnoDB keep it, with transactions.")
    return problems
