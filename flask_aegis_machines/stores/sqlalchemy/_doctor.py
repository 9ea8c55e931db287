"""What is wrong with the live tables, for the command ``doctor``. Nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy import Column, inspect
from sqlalchemy.engine import Connection, Inspector
from sqlalchemy.sql import Select

from flask_aegis_machines._errors import StoreFailure
from flask_aegis_machines._records import MACHINE_FIELDS
from flask_aegis_machines.stores import Notice

from . import _doctor_mysql, _doctor_postgresql, _doctor_sqlite
from ._catalog import schema_of, unique_keys

__all__ = ["problems_of_machines", "problems_of_users"]

_CODE_LENGTH, _FACT_LENGTH = 32, 255

_CHECKS_BY_DIALECT: Mapping[str, Callable[[Connection, Mapping[str, Column[Any]]], list[str]]] = {
    "mysql": _doctor_mysql.problems,
    "mariadb": _doctor_mysql.problems,
    "postgresql": _doctor_postgresql.problems,
    "sqlite": _doctor_sqlite.problems,
}


def problems_of_machines(connection: Connection, columns: Mapping[str, Column[Any]]) -> list[str]:
    """Compare the live table of machines with what the store needs.

    Args:
        connection: A connection in a transaction.
        columns: The columns of the host's model by attribute.

    Returns:
        One sentence for each problem, which says what to do.
    """
    table: Any = columns["machine_code"].table
    if missing_tables := _missing_tables(connection, [table]):
        return missing_tables
    found, schema = inspect(connection), schema_of(connection, table)
    types = {column["name"]: column["type"] for column in found.get_columns(table.name, schema=schema)}
    if missing := [column.name for column in columns.values() if column.name not in types]:
        return [f"Table {table.name} has no column {', '.join(missing)}: add it by a migration."]
    # With those that SQLite makes for a constraint: SQLAlchemy does not recognize each UNIQUE by its text.
    indexes = found.get_indexes(table.name, schema=schema, include_auto_indexes=True)
    problems = [
        *_problems_of_keys(found, table.name, schema, columns, indexes),
        *_problems_of_lengths(columns, types),
        *_problems_of_foreign_key(connection, found, table.name, schema, columns["user_id"]),
    ]
    check_dialect = _CHECKS_BY_DIALECT.get(connection.dialect.name)
    if check_dialect is None:
        problems.append(
            Notice(
                f"{connection.dialect.name} is not tested: check that machine_code is compared with its "
                "case, and that empty texts stay empty (Oracle stores NULL)."
            )
        )
    else:
        problems += check_dialect(connection, columns)
    return problems


def problems_of_users(
    connection: Connection,
    tables: Iterable[Any],
    look_up: Select[Any],
    identity: Column[Any],
    read_sample: Callable[[], object],
) -> list[str]:
    """Compare the live tables of users with what the store needs.

    Args:
        connection: A connection in a transaction.
        tables: The tables of the host's model.
        look_up: The statement that finds a user.
        identity: The column of the identity.
        read_sample: Reads some user, and raises StoreFailure for values that cannot be those of a user.

    Returns:
        One sentence for each problem, which says what to do.
    """
    tables = list(tables)
    if missing_tables := _missing_tables(connection, tables):
        return missing_tables
    connection.execute(look_up.limit(0), {"identity": None}).all()  # fails without a column
    found: Inspector = inspect(connection)
    table: Any = identity.table
    name, schema = table.name, schema_of(connection, table)
    problems = []
    indexes = found.get_indexes(name, schema=schema, include_auto_indexes=True)
    if [identity.name] not in unique_keys(found, name, schema, indexes):
        problems.append(
            f"Nothing makes {identity.name} of table {name} unique. If two users share a value, their "
            "requests fail with 10005: give the column a unique key by a migration."
        )
    if connection.dialect.name == "sqlite":
        problems += [each for table in tables for each in _doctor_sqlite.problems_of_ids(connection, table)]
    try:
        read_sample()
    except StoreFailure as failure:
        problems.append(f"A user cannot be used: {failure}.")
    return problems


def _missing_tables(connection: Connection, tables: Iterable[Any]) -> list[str]:
    found = inspect(connection)
    return [
        f"There is no table {table.name}: make it by a migration."
        for table in tables
        if not found.has_table(table.name, schema=schema_of(connection, table))
        and table.name not in found.get_view_names(schema=schema_of(connection, table))
    ]


def _problems_of_keys(
    found: Inspector, table: str, schema: str | None, columns: Mapping[str, Column[Any]], indexes: list[Any]
) -> list[str]:
    problems = []
    code = columns["machine_code"].name
    if [code] not in unique_keys(found, table, schema, indexes):
        problems.append(
            f"Nothing in the live table {table} makes {code} unique, so a machine could get two "
            "owners: give it a unique index by a migration."
        )
    page = [columns[name].name for name in ("user_id", "registered_at", "machine_code")]
    if page not in [list(index["column_names"])[: len(page)] for index in indexes]:
        problems.append(
            f"Pages of the list get slower as a user's machines grow: add an index on {', '.join(page)}."
        )
    return problems


def _problems_of_lengths(columns: Mapping[str, Column[Any]], types: Mapping[str, Any]) -> list[str]:
    problems = []
    for name in (*MACHINE_FIELDS, "attempt"):
        needed = _CODE_LENGTH if name in ("machine_code", "attempt") else _FACT_LENGTH
        length = getattr(types[columns[name].name], "length", None) or needed
        if length < needed:
            problems.append(
                f"Column {columns[name].name} holds {length} characters of {needed}: make it longer."
            )
    return problems


def _problems_of_foreign_key(
    connection: Connection, found: Inspector, table: str, schema: str | None, owner: Column[Any]
) -> list[str]:
    if connection.dialect.name == "sqlite":  # whose rules SQLAlchemy reads only in some spellings
        rules = _doctor_sqlite.rules_of_foreign_keys(connection, owner)
    else:
        keys = found.get_foreign_keys(table, schema=schema)
        rules = [
            str(key.get("options", {}).get("ondelete", "")).upper()
            for key in keys
            if key["constrained_columns"] == [owner.name]
        ]
    if not rules:
        return [
            Notice(
                f"Column {owner.name} has no foreign key, so a user who is deleted during a request can "
                "still get a machine: add one, unless users are in another database."
            )
        ]
    problems = []
    if "CASCADE" in rules:
        problems.append(
            f"Deleting a user deletes the machines (ON DELETE CASCADE on {owner.name}), which frees their "
            "codes for others: use ON DELETE SET NULL with a nullable column, or do not delete users."
        )
    if "SET DEFAULT" in rules:
        problems.append(
            f"Deleting a user gives the machines to another (ON DELETE SET DEFAULT on {owner.name}): use ON "
            "DELETE SET NULL with a nullable column, or do not delete users."
        )
    return problems
