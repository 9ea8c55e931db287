"""Whether the live table is what the model says: the database's word, for the command ``doctor``."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Table, inspect, text
from sqlalchemy.engine import Connection, Inspector

__all__ = ["problems_of"]

_CODE_LENGTH = 32

_POSTGRESQL_EXACT = text(
    """
    SELECT format_type(atttypid, NULL) <> 'citext' AND coalesce(collisdeterministic, true)
    FROM pg_attribute LEFT JOIN pg_collation ON pg_collation.oid = attcollation
    WHERE attrelid = to_regclass(:table) AND attname = :column
    """
)
_SQLITE_COLLATIONS = text(
    """
    SELECT key.coll FROM pragma_index_list(:table) AS key_of, pragma_index_xinfo(key_of.name) AS key
    WHERE key_of."unique" AND key.name = :column
    """
)


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
    found = inspect(connection)
    if not found.has_table(table.name, schema=table.schema):
        return [f"There is no table {table.name}: make it by a migration."]
    live = {column["name"]: column for column in found.get_columns(table.name, schema=table.schema)}
    missing = [column.name for column in columns.values() if column.name not in live]
    if missing:
        return [f"Table {table.name} has no column {', '.join(missing)}: add it by a migration."]
    problems = []
    keys = _unique_keys(found, table)
    if [code.name] not in keys:
        problems.append(
            f"Nothing in the live table {table.name} makes {code.name} unique, so a machine could get two "
            "owners: give it a unique index by a migration."
        )
    length = getattr(live[code.name]["type"], "length", None)
    if length is not None and length < _CODE_LENGTH:
        problems.append(f"Column {code.name} holds {length} characters of {_CODE_LENGTH}: make it longer.")
    if not _is_exact(connection, table, code, live[code.name]):
        problems.append(
            f"Column {code.name} does not compare exactly, so different codes count as one: give it a binary "
            "collation, as MachineMixin does."
        )
    engine = found.get_table_options(table.name, schema=table.schema).get("mysql_engine", "InnoDB")
    if engine.lower() != "innodb":
        problems.append(f"Table {table.name} is kept by {engine}, which has no transactions: use InnoDB.")
    page = [columns[name].name for name in ("user_id", "registered_at", "machine_code")]
    if page not in [index["column_names"] for index in found.get_indexes(table.name, schema=table.schema)]:
        problems.append(
            f"Pages of the list get slower as a user's machines grow: add an index on {', '.join(page)}."
        )
    return problems


def _unique_keys(found: Inspector, table: Table) -> list[list[str | None]]:
    """Return the columns of each unique key that holds for every row and for whole values."""
    keys: list[list[str | None]] = []
    for index in found.get_indexes(table.name, schema=table.schema):
        options = index.get("dialect_options", {})
        if index["unique"] and not any(name.endswith(("_where", "_length")) for name in options):
            keys.append(list(index["column_names"]))
    for constraint in found.get_unique_constraints(table.name, schema=table.schema):
        keys.append(list(constraint["column_names"]))
    keys.append(list(found.get_pk_constraint(table.name, schema=table.schema)["constrained_columns"]))
    return keys


def _is_exact(connection: Connection, table: Table, code: Column[Any], live: Any) -> bool:
    if connection.dialect.name in ("mysql", "mariadb"):
        return str(live["type"].collation).endswith("_bin")
    if connection.dialect.name == "postgresql":
        name = connection.dialect.identifier_preparer.format_table(table)
        values = {"table": name, "column": code.name}
        return bool(connection.execute(_POSTGRESQL_EXACT, values).scalar())
    if connection.dialect.name == "sqlite":
        values = {"table": table.name, "column": code.name}
        return set(connection.execute(_SQLITE_COLLATIONS, values).scalars()) <= {"BINARY"}
    return True
