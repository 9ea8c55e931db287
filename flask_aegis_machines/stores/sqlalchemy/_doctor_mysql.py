"""What may be wrong with a database of MySQL or MariaDB, for the command ``doctor``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, text
from sqlalchemy.engine import Connection

from flask_aegis_machines._records import MACHINE_FIELDS
from flask_aegis_machines.stores import Notice

from ._catalog import schema_of

__all__ = ["problems"]

_COLUMNS = text(
    """
    SELECT column_name, collation_name, character_set_name FROM information_schema.columns
    WHERE table_schema = coalesce(:schema, database()) AND table_name = :table
    """
)
_ENGINE = text(
    """
    SELECT engine FROM information_schema.tables
    WHERE table_schema = coalesce(:schema, database()) AND table_name = :table
    """
)
_TRIGGERS = text(
    """
    SELECT trigger_name FROM information_schema.triggers
    WHERE event_object_schema = coalesce(:schema, database()) AND event_object_table = :table
    ORDER BY trigger_name
    """
)
_DURABILITY = text(
    """
    SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_flush_log_at_trx_commit', 'wsrep_on')
    """
)
# The characters of a code are ASCII, those of a fact any.
_FACTS = [name for name in MACHINE_FIELDS if name != "machine_code"]
_COMPLETE_SETS = {"utf8mb4", "utf16", "utf16le", "utf32", None}


def problems(connection: Connection, columns: Mapping[str, Column[Any]]) -> list[str]:
    """Return what is wrong with the live table of machines and with the settings of the server.

    Args:
        connection: A connection in a transaction.
        columns: The columns of the host's model by attribute.

    Returns:
        One sentence for each problem, which says what to do.
    """
    code = columns["machine_code"]
    table: Any = code.table
    names = {"table": table.name, "schema": schema_of(connection, table)}
    live = {name: (collation, charset) for name, collation, charset in connection.execute(_COLUMNS, names)}
    found: list[str] = []
    if not str(live[code.name][0]).endswith(("_bin", "_cs")):
        found.append(
            f"Column {code.name} does not compare exactly, so different codes count as one: give it a binary "
            "collation, as MachineMixin does."
        )
    narrow = [columns[name].name for name in _FACTS if live[columns[name].name][1] not in _COMPLETE_SETS]
    if narrow:
        found.append(
            f"Columns {', '.join(narrow)} cannot hold every character: use utf8mb4 with utf8mb4_bin."
        )
    engine = connection.execute(_ENGINE, names).scalar()
    if engine not in ("InnoDB", None):
        found.append(f"Table {table.name} is kept by {engine}: let InnoDB keep it, with transactions.")
    preparer = connection.dialect.identifier_preparer
    full_name = ".".join(preparer.quote(name) for name in (names["schema"], table.name) if name)
    created: Any = connection.exec_driver_sql(f"SHOW CREATE TABLE {full_name}").one()
    if str(created[1]).startswith("CREATE TEMPORARY"):
        found.append(
            f"A temporary table hides {table.name}, so machines are lost with the connection: drop it."
        )
    triggers = list(connection.execute(_TRIGGERS, names).scalars())
    if triggers:
        found.append(
            Notice(
                f"Table {table.name} has triggers ({', '.join(triggers)}): one that changes codes or owners "
                "makes registrations fail with 10005."
            )
        )
    return [*found, *_problems_of_settings(connection)]


def _problems_of_settings(connection: Connection) -> list[str]:
    found: list[str] = []
    modes = str(connection.exec_driver_sql("SELECT @@sql_mode").scalar()).split(",")
    if not {"STRICT_TRANS_TABLES", "STRICT_ALL_TABLES"} & set(modes):
        found.append(
            "The sql_mode of the connection is not strict, so a value that does not fit a column is cut and "
            "not refused: add STRICT_TRANS_TABLES."
        )
    settings = {row[0]: row[1] for row in connection.execute(_DURABILITY)}
    if settings.get("innodb_flush_log_at_trx_commit") != "1":
        problem = (
            "innodb_flush_log_at_trx_commit is not 1, so a crash of the server can lose bindings that were "
            "answered with 200: set it to 1."
        )
        if settings.get("wsrep_on") == "ON":
            problem = Notice(f"{problem} On Galera that is a loss only where all nodes crash at once.")
        found.append(problem)
    return found
