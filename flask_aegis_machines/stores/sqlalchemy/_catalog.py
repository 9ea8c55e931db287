"""What the stores ask the catalogue of a database about the live table, once per process."""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from sqlalchemy import Column, inspect, text
from sqlalchemy.engine import Connection, Dialect, Inspector

from flask_aegis_machines._errors import ConfigurationError

from ._failures import NO_KEY
from ._unit_of_work import UnitOfWork

__all__ = ["Catalog", "LiveTable", "schema_of", "unique_keys"]

# Every table of that name, because a tenant's schema may come from the search path of each request.
_POSTGRESQL = text(
    """
    WITH RECURSIVE family(id, kind) AS (
        SELECT oid, relkind FROM pg_class WHERE relname = :table AND relkind IN ('r', 'p', 'v', 'f')
        UNION
        SELECT oid, relkind FROM family JOIN pg_inherits ON inhparent = id JOIN pg_class ON oid = inhrelid
    )
    SELECT EXISTS (SELECT FROM family),
        EXISTS (SELECT FROM pg_trigger JOIN family ON tgrelid = id WHERE NOT tgisinternal)
        OR EXISTS (SELECT FROM family WHERE kind IN ('v', 'f'))
        OR EXISTS (SELECT FROM family JOIN pg_inherits ON inhparent = id WHERE kind = 'r')
    """
)
_SQLITE = """
    SELECT count(*), coalesce(max(type IN ('trigger', 'view')), 0) FROM (
        SELECT type, tbl_name FROM {schema}.sqlite_master
        UNION ALL SELECT type, tbl_name FROM sqlite_temp_master
    ) WHERE lower(tbl_name) = lower(:table)
"""
_MYSQL = text(
    """
    SELECT
        (SELECT count(*) FROM information_schema.triggers
         WHERE event_object_schema = coalesce(:schema, database()) AND event_object_table = :table
         AND event_manipulation = 'INSERT'),
        (SELECT count(*) FROM information_schema.user_privileges
         WHERE privilege_type = 'TRIGGER' AND grantee = account.grantee)
        + (SELECT count(*) FROM information_schema.schema_privileges
           WHERE privilege_type = 'TRIGGER' AND grantee = account.grantee
           AND coalesce(:schema, database()) LIKE table_schema)
        + (SELECT count(*) FROM information_schema.table_privileges
           WHERE privilege_type = 'TRIGGER' AND grantee = account.grantee
           AND table_schema = coalesce(:schema, database()) AND table_name = :table),
        (SELECT count(*) FROM (
             SELECT index_name FROM information_schema.statistics
             WHERE table_schema = coalesce(:schema, database()) AND table_name = :table AND non_unique = 0
             GROUP BY index_name
             HAVING count(*) = 1 AND max(column_name) = :code AND max(sub_part) IS NULL
         ) AS unique_keys),
        (SELECT count(*) FROM information_schema.columns
         WHERE table_schema = coalesce(:schema, database()) AND table_name = :table
         AND column_name IN (:code, :attempt)
         AND data_type IN ('char', 'varchar', 'text', 'mediumtext', 'longtext')
         AND character_maximum_length >= 32),
        (SELECT count(*) FROM information_schema.columns
         WHERE table_schema = coalesce(:schema, database()) AND table_name = :table),
        (SELECT column_type FROM information_schema.columns
         WHERE table_schema = coalesce(:schema, database()) AND table_name = :table AND column_name = :owner),
        (SELECT transactions FROM information_schema.tables JOIN information_schema.engines USING (engine)
         WHERE table_schema = coalesce(:schema, database()) AND table_name = :table)
    FROM (SELECT concat('''', replace(current_user(), '@', '''@'''), '''') AS grantee) AS account
    """
)


class LiveTable(NamedTuple):
    """What an INSERT has to know about the live table.

    Args:
        may_alter_insert: Whether a trigger, a view or a child table may change what an INSERT does.
        must_be_read_back: Whether the row must be read back before the COMMIT.
        is_transactional: Whether a ROLLBACK undoes what a statement stored.
    """

    may_alter_insert: bool
    must_be_read_back: bool
    is_transactional: bool = True


# The table does not exist. The INSERT fails, and says so.
_MISSING = LiveTable(may_alter_insert=False, must_be_read_back=True)


class Catalog:
    """Looks at the table of machines, once for each engine of a process.

    Args:
        code: The column of the machine code.
        attempt: The column of the random value that identifies a call: all its tries have the same.
        owner: The column of the owner's key.
    """

    def __init__(self, code: Column[Any], attempt: Column[Any], owner: Column[Any]) -> None:
        self._code, self._attempt, self._owner = code, attempt, owner
        # By engine, which the dialect stands for, and by schema: a host may have one for each tenant.
        self._tables: WeakKeyDictionary[Dialect, dict[str | None, LiveTable]] = WeakKeyDictionary()

    def table(self, unit: UnitOfWork) -> LiveTable:
        """Return what is known about the table; ask the database at the first call.

        The question has a transaction of its own.

        Args:
            unit: The connection of this try.

        Raises:
            ConfigurationError: No unique key on the machine code holds. PostgreSQL and SQLite report that
                themselves, at the INSERT.
        """
        schema = schema_of(unit.connection, self._code.table)
        tables = self._tables.setdefault(unit.dialect, {})
        known = tables.get(schema)
        if known is None:
            known = self._look(unit.connection, schema)
            unit.rollback()  # so that the INSERT, and what a hook reads, has a new snapshot
            if known is not _MISSING:  # otherwise the table may be created later
                tables[schema] = known
        return known

    def _look(self, connection: Connection, schema: str | None) -> LiveTable:
        table: Any = self._code.table
        if connection.dialect.name == "postgresql":
            exists, may_alter_insert = connection.execute(_POSTGRESQL, {"table": table.name}).one()
            return LiveTable(may_alter_insert, must_be_read_back=may_alter_insert) if exists else _MISSING
        if connection.dialect.name == "sqlite":  # which needs no round trip to read the row back
            quoted = connection.dialect.identifier_preparer.quote(schema or "main")
            statement = text(_SQLITE.format(schema=quoted))
            exists, may_alter_insert = connection.execute(statement, {"table": table.name}).one()
            return LiveTable(bool(may_alter_insert), must_be_read_back=True) if exists else _MISSING
        if connection.dialect.name in ("mysql", "mariadb"):
            names = {
                "code": self._code.name,
                "attempt": self._attempt.name,
                "owner": self._owner.name,
                "table": table.name,
                "schema": schema,
            }
            found = connection.execute(_MYSQL, names).one()
            triggers, privileges, keys, exact_columns, columns, owner_type, transactions = found
            if not columns:
                return _MISSING
            has_key = bool(keys)
            # A server converts what does not fit: '01' is 1 in a column of integers.
            is_exact = exact_columns == 2 and _kind(owner_type or "") == _kind(
                self._owner.type.compile(dialect=connection.dialect)
            )
            is_transactional = transactions != "NO"
            is_plain = privileges and is_exact and is_transactional and not triggers
            live_table = LiveTable(
                bool(triggers), must_be_read_back=not is_plain, is_transactional=is_transactional
            )
        else:
            inspector = inspect(connection)
            indexes = inspector.get_indexes(table.name, schema=schema)
            has_key = [self._code.name] in unique_keys(inspector, table.name, schema, indexes)
            live_table = LiveTable(may_alter_insert=False, must_be_read_back=True)
        if not has_key:
            raise ConfigurationError(f"A machine could get two owners: {NO_KEY}.")
        return live_table


def _kind(declared: str) -> tuple[str, str]:
    """Return the name of a type of MySQL, and the length of texts. Integers have a width for display."""
    # The pattern matches every text.
    name, length = re.match(r"(\w*)(?:\((\d+)\))?", declared.lower()).groups()  # type: ignore[union-attr]
    return ("int", "") if name in ("int", "integer") else (name, (length or "") if "char" in name else "")


def schema_of(connection: Connection, table: Any) -> str | None:
    """Return the schema of a table as the ``schema_translate_map`` of the engine has it.

    Args:
        connection: A connection.
        table: A table of the host.

    Returns:
        The name of the schema, or ``None`` for that of the connection.
    """
    translated: dict[str | None, str | None] = (
        connection.get_execution_options().get("schema_translate_map") or {}
    )
    schema: str | None = translated.get(table.schema, table.schema)
    return schema


def unique_keys(
    found: Inspector, table: str, schema: str | None, indexes: list[Any]
) -> list[list[str | None]]:
    """Return the columns of each unique key that holds for every row and for whole values.

    Args:
        found: An inspector of the database.
        table: The name of the table.
        schema: Its schema.
        indexes: Its indexes, as from ``get_indexes``.
    """
    keys: list[list[str | None]] = []
    for index in indexes:
        options = index.get("dialect_options", {})
        if index["unique"] and not any(name.endswith(("_where", "_length")) for name in options):
            keys.append(list(index["column_names"]))
    for constraint in found.get_unique_constraints(table, schema=schema):
        if "duplicates_index" not in constraint:  # that one is in the list of indexes, with its options
            keys.append(list(constraint["column_names"]))
    keys.append(list(found.get_pk_constraint(table, schema=schema)["constrained_columns"]))
    return keys
