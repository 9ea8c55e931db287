"""What may be wrong with a database of SQLite, for the command ``doctor``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Integer, text
from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import TextClause

from flask_aegis_machines.stores import Notice

from ._catalog import schema_of

__all__ = ["problems", "problems_of_ids", "rules_of_foreign_keys"]

_COLLATIONS = text(
    """
    SELECT key.coll
    FROM pragma_index_list(:table, :schema) AS key_of, pragma_index_xinfo(key_of.name, :schema) AS key
    WHERE key_of."unique" AND key.name = :column
    """
)
_DECLARED_TYPES = text("SELECT name, upper(type) FROM pragma_table_info(:table, :schema)")
_SOURCE = """
    SELECT coalesce(sql, '') FROM {schema}.sqlite_master WHERE type = 'table' AND lower(name) = lower(:table)
"""
_FOREIGN_KEYS = text('SELECT on_delete FROM pragma_foreign_key_list(:table, :schema) WHERE "from" = :column')
_TRIGGERS = """
    SELECT count(*) FROM (SELECT * FROM {schema}.sqlite_master UNION ALL SELECT * FROM sqlite_temp_master)
    WHERE type = 'trigger' AND lower(tbl_name) = lower(:table)
"""
_HIDING = text("SELECT count(*) FROM sqlite_temp_master WHERE lower(name) = lower(:table)")
_TEXT_TYPES = ("CHAR", "CLOB", "TEXT")


def problems(connection: Connection, columns: Mapping[str, Column[Any]]) -> list[str]:
    """Return what is wrong with the live table of machines and with the settings of the connection.

    Args:
        connection: A connection in a transaction.
        columns: The columns of the host's model by attribute.

    Returns:
        One sentence for each problem, which says what to do.
    """
    code = columns["machine_code"]
    table: Any = code.table
    schema = _schema_of(connection, table)
    names = {"table": table.name, "schema": schema, "column": code.name}
    found: list[str] = []
    if not set(connection.execute(_COLLATIONS, names).scalars()) <= {"BINARY"}:
        found.append(
            f"Column {code.name} does not compare exactly, so different codes count as one: give it a binary "
            "collation, as MachineMixin does."
        )
    types = {row[0]: row[1] for row in connection.execute(_DECLARED_TYPES, names)}
    for name in ("machine_code", "attempt"):
        declared = types[columns[name].name]
        if declared and not any(kind in declared for kind in _TEXT_TYPES):
            found.append(
                f"Column {columns[name].name} is declared {declared}, in which SQLite turns digits into "
                "numbers: declare it VARCHAR(32)."
            )
    if connection.execute(_in(schema, _TRIGGERS, connection), {"table": table.name}).scalar():
        found.append(
            Notice(
                f"Table {table.name} has triggers: one that skips rows makes registrations fail with 10005."
            )
        )
    if connection.execute(_HIDING, {"table": table.name}).scalar():
        found.append(
            f"A temporary table hides {table.name}, so machines are lost with the connection: drop it."
        )
    return [*found, *_problems_of_settings(connection)]


def problems_of_ids(connection: Connection, table: Any) -> list[str]:
    """Return a problem if SQLite gives the id of a deleted user to the next one.

    Args:
        connection: A connection in a transaction.
        table: A table of the host's users.

    Returns:
        A sentence that says what to do, or nothing.
    """
    automatic = [column for column in table.primary_key.columns if isinstance(column.type, Integer)]
    statement = _in(_schema_of(connection, table), _SOURCE, connection)
    source = "".join(connection.execute(statement, {"table": table.name}).scalars()).upper()
    if len(automatic) != 1 or len(table.primary_key.columns) != 1 or "AUTOINCREMENT" in source:
        return []
    if automatic[0].autoincrement is False:
        return []
    return [
        f"SQLite gives the {automatic[0].name} of a deleted row of {table.name} to the next one, who then "
        "owns the machines of the former: add "
        '__table_args__ = {"sqlite_autoincrement": True} to the model, and a migration whose '
        'batch_alter_table() has table_kwargs={"sqlite_autoincrement": True}.'
    ]


def rules_of_foreign_keys(connection: Connection, column: Column[Any]) -> list[str]:
    """Return what each foreign key of a column does when the row that it refers to is deleted.

    Args:
        connection: A connection in a transaction.
        column: The column.

    Returns:
        The rules, such as ``SET NULL``.
    """
    table: Any = column.table
    names = {"table": table.name, "schema": _schema_of(connection, table), "column": column.name}
    return list(connection.execute(_FOREIGN_KEYS, names).scalars())


def _schema_of(connection: Connection, table: Any) -> str:
    """Return the name of the file that has a table, among those that are attached."""
    return schema_of(connection, table) or "main"


def _in(schema: str, statement: str, connection: Connection) -> TextClause:
    """Return a statement about a schema. Its name cannot be a parameter."""
    return text(statement.format(schema=connection.dialect.identifier_preparer.quote(schema)))


def _problems_of_settings(connection: Connection) -> list[str]:
    def pragma(name: str) -> Any:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()

    synchronous, journal_mode = int(pragma("synchronous")), str(pragma("journal_mode")).lower()
    found: list[str] = []
    if not pragma("foreign_keys"):
        found.append(
            "SQLite does not enforce foreign keys, so a deleted user can get a machine: execute "
            "PRAGMA foreign_keys=ON on each connection, in a listener for the engine's connect event."
        )
    if synchronous == 0 or (synchronous == 1 and journal_mode == "wal"):
        found.append(
            "SQLite does not write to the disk before a COMMIT returns, so a loss of power loses bindings "
            "that were answered with 200: execute PRAGMA synchronous=FULL on each connection."
        )
    if journal_mode == "off" or (
        journal_mode == "memory" and connection.engine.url.database not in (None, "", ":memory:")
    ):
        found.append(
            f"SQLite keeps its journal in {journal_mode} mode, so a crash can destroy the database: use "
            "PRAGMA journal_mode=WAL or DELETE."
        )
    return found
