"""What may be wrong with a database of PostgreSQL, for the command ``doctor``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, text
from sqlalchemy.engine import Connection

from flask_aegis_machines.stores import Notice

from ._catalog import schema_of

__all__ = ["problems"]

_CODE_LENGTH = 32

_TABLE = text(
    """
    SELECT relkind, relpersistence, row_security_active(oid) AS row_security,
        array(SELECT tgname::text FROM pg_trigger WHERE tgrelid = pg_class.oid AND NOT tgisinternal
              ORDER BY tgname) AS triggers,
        array(SELECT rulename::text FROM pg_rewrite WHERE ev_class = pg_class.oid AND rulename <> '_RETURN'
              ORDER BY rulename) AS rules,
        EXISTS (SELECT FROM pg_inherits WHERE inhparent = pg_class.oid AND relkind = 'r') AS has_children,
        EXISTS (SELECT FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
                WHERE indrelid = pg_class.oid AND indisunique AND indnkeyatts = 1 AND attname = :code
                AND NOT (indisvalid AND indisready AND indislive)) AS has_invalid_key,
        EXISTS (SELECT FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
                WHERE indrelid = pg_class.oid AND indisunique AND indnkeyatts = 1 AND attname = :code
                AND NOT indimmediate) AS has_deferrable_key
    FROM pg_class WHERE oid = to_regclass(:table)
    """
)
_COLUMNS = text(
    """
    SELECT attname::text, typname::text, coalesce(collisdeterministic, true), atttypmod - 4 AS length
    FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
    LEFT JOIN pg_collation ON pg_collation.oid = attcollation
    WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped
    """
)
_SETTINGS = text(
    """
    SELECT current_setting('synchronous_commit'), current_setting('fsync'),
        current_setting('full_page_writes'), current_setting('server_encoding'), inet_server_port()
    """
)


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
    preparer = connection.dialect.identifier_preparer
    schema = schema_of(connection, table)
    full_name = f"{preparer.quote(schema)}." if schema else ""
    names = {"table": full_name + preparer.quote(table.name), "code": code.name}
    live = connection.execute(_TABLE, names).one()
    types = {name: facts for name, *facts in connection.execute(_COLUMNS, names)}
    return [
        *_problems_of_table(table.name, code.name, live),
        *_problems_of_columns(columns, types),
        *_problems_of_settings(connection),
    ]


def _problems_of_table(table: str, code: str, live: Any) -> list[str]:
    found: list[str] = []
    if live.relpersistence == "u":
        found.append(f"Table {table} is UNLOGGED, so a crash empties it: ALTER TABLE {table} SET LOGGED.")
    if live.relpersistence == "t":
        found.append(f"A temporary table hides {table}, so machines are lost with the connection: drop it.")
    if live.relkind == "v":
        found.append(Notice(f"{table} is a view: foreign keys and triggers of its tables were not checked."))
    if live.has_invalid_key:
        found.append(
            f"A unique index on {code} is invalid, as CREATE UNIQUE INDEX CONCURRENTLY leaves it when it "
            "meets duplicates: remove the duplicates, drop the index and create it again."
        )
    if live.has_deferrable_key:
        found.append(f"A unique key on {code} is deferrable, so registrations fail: make it NOT DEFERRABLE.")
    if live.rules:
        found.append(f"Table {table} has rules ({', '.join(live.rules)}), so registrations fail: drop them.")
    if live.has_children:
        found.append(
            f"Table {table} has child tables, in which its unique key does not hold: use partitions."
        )
    if live.triggers:
        found.append(
            Notice(
                f"Table {table} has triggers ({', '.join(live.triggers)}): one that skips or changes rows "
                "makes registrations fail with 10005. A deferred one that changes rows goes unnoticed."
            )
        )
    if live.row_security:
        found.append(
            Notice(
                f"Row-level security applies to table {table}: this role must see and lock the codes of all "
                "users, or taken codes are answered with 10005 and shown as not bound."
            )
        )
    return found


def _problems_of_columns(columns: Mapping[str, Column[Any]], types: Mapping[str, Any]) -> list[str]:
    found = []
    kind, is_exact, _ = types[columns["machine_code"].name]
    if kind == "citext" or not is_exact:
        found.append(
            f"Column {columns['machine_code'].name} does not compare exactly, so different codes count as "
            "one: give it a binary collation, as MachineMixin does."
        )
    padded = [
        columns[name].name
        for name in columns
        if types[columns[name].name][0] == "bpchar"
        and (name not in ("machine_code", "attempt") or types[columns[name].name][2] != _CODE_LENGTH)
        and type(columns[name].type).__name__ != "CHAR"
    ]
    if padded:
        found.append(
            f"Columns {', '.join(padded)} are CHAR in the database and not in the model, so their values "
            "come back with blanks: use VARCHAR, or CHAR in the model."
        )
    timestamp = columns["registered_at"].name
    if types[timestamp][0] == "timestamp":
        found.append(
            f"Column {timestamp} has no time zone, so its timestamps are those of the zone of each session: "
            "make it TIMESTAMP WITH TIME ZONE."
        )
    return found


def _problems_of_settings(connection: Connection) -> list[str]:
    synchronous_commit, fsync, full_page_writes, encoding, server_port = connection.execute(_SETTINGS).one()
    found: list[str] = []
    if synchronous_commit == "off":
        found.append(
            "synchronous_commit is off, so a crash loses bindings that were answered with 200: set it to on."
        )
    for name, value in (("fsync", fsync), ("full_page_writes", full_page_writes)):
        if value == "off":
            found.append(
                f"{name} is off, so a loss of power can lose bindings that were answered with 200: set it to "
                "on."
            )
    if encoding != "UTF8":
        found.append(f"The database is encoded in {encoding}, which cannot hold every fact: use UTF8.")
    driver_connection: Any = connection.connection.dbapi_connection
    info = getattr(driver_connection, "info", None)
    if (
        getattr(driver_connection, "prepare_threshold", None) is not None
        and server_port is not None
        and getattr(info, "port", server_port) != server_port
    ):
        found.append(
            Notice(
                "A proxy is between the app and PostgreSQL: for PgBouncer in transaction mode, pass "
                'connect_args={"prepare_threshold": None} to the engine, or statements fail with 10005.'
            )
        )
    return found
