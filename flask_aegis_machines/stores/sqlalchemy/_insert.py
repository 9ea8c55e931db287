"""The INSERT of a machine in each dialect, and what proves that it stored our row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

from sqlalchemy import Column, bindparam, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.sql import ClauseElement, Select

from flask_aegis_machines._records import Owner, User

from ._failures import NothingStored

__all__ = ["CHANGED", "Insert", "is_expression"]


class Insert:
    """Statements on the table of machines that store a row, or show what is stored.

    Args:
        code: The column of the machine code.
        attempt: The column of the random value that identifies a call: all its tries have the same.
        owner: The column of the owner's key.
        unpadded: Removes the padding of a CHAR column from an owner's key.
    """

    def __init__(
        self,
        code: Column[Any],
        attempt: Column[Any],
        owner: Column[Any],
        unpadded: Callable[[object], object],
    ) -> None:
        table = code.table
        self._unpadded = unpadded
        self._numbers = count()
        self._code, self._attempt = code.key, attempt.key
        self._plain = insert(table).inline()
        # A conflict with a committed row is no error on the server, so its log has no values.
        self._postgresql_many = (
            postgresql.insert(table).inline().on_conflict_do_nothing(index_elements=[code])
        )
        # The row count is -1 on psycopg before SQLAlchemy 2.0.28; RETURNING works on every version.
        self._postgresql = self._postgresql_many.returning(code, attempt, owner)
        # OR ABORT, because REPLACE of another key would delete the row of a former owner.
        self._sqlite = (
            sqlite.insert(table)
            .prefix_with("OR ABORT")
            .inline()
            .on_conflict_do_nothing(index_elements=[code])
        )
        rows = select(code, attempt, owner)
        self._stored = rows.where(code.in_(bindparam("codes", expanding=True)))
        self._stored_locked = self._stored.with_for_update(read=True)
        # FOR SHARE: a plain SELECT may read an old snapshot (MySQL), or a row that no synchronous standby has
        # yet (PostgreSQL). This one waits, as the COMMIT of the row does.
        self._conflicting = rows.where(code == bindparam("code")).with_for_update(read=True)

    def one(self, connection: Connection, row: Mapping[str, Any], user: User) -> bool:
        """Insert a row.

        Args:
            connection: A connection in a transaction.
            row: The values by column key, of which some may be SQL expressions.
            user: The owner.

        Returns:
            Whether the database reports that it stored a row.

        Raises:
            NothingStored: It reports another row than this.
            sqlalchemy.exc.IntegrityError: A key is violated.
        """
        # A driver takes plain values only: SQL expressions of the host go into the statement.
        expressions = {key: value for key, value in row.items() if is_expression(value)}
        values = {key: value for key, value in row.items() if key not in expressions}
        if connection.dialect.name == "postgresql":
            stored = connection.execute(_with(self._postgresql, expressions), values).first()
            if stored is not None and not self._is_row(stored, row, user):
                raise NothingStored(CHANGED)
            return stored is not None
        statement = self._sqlite if connection.dialect.name == "sqlite" else self._plain
        # An unknown dialect may not count (-1): then the row must be read back.
        return bool(connection.execute(_with(statement, expressions), values).rowcount)

    def many(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows, and leave out those whose code is bound already where the dialect can.

        Args:
            connection: A connection in a transaction.
            rows: The values by column key, none of them an SQL expression.

        Raises:
            sqlalchemy.exc.IntegrityError: A key is violated.
        """
        statements = {"postgresql": self._postgresql_many, "sqlite": self._sqlite}
        connection.execute(statements.get(connection.dialect.name, self._plain), list(rows))

    def read_back(self, connection: Connection, rows: Sequence[tuple[Mapping[str, Any], User]]) -> bool:
        """Return whether the table shows exactly one row for each code, and that it is the given one.

        Args:
            connection: The connection of the transaction that inserted them.
            rows: The values by column key, each with its owner.
        """
        expected = {row[self._code]: (row, user) for row, user in rows}
        # One row is a request's, whose statement should be compiled once and prepared.
        statement = self._stored if len(rows) == 1 else self._unprepared(self._stored, connection)
        found = connection.execute(statement, {"codes": list(expected)}).all()
        exact = [row for row in found if row[0] in expected]
        return len(exact) == len(expected) == len({row[0] for row in exact}) and all(
            self._is_row(row, *expected[row[0]]) for row in exact
        )

    def is_stored(self, connection: Connection, row: Mapping[str, Any]) -> bool:
        """Return whether the table shows a row that one of this call's tries has stored.

        Args:
            connection: A connection in a transaction.
            row: The values by column key.
        """
        found = connection.execute(self._stored, {"codes": [row[self._code]]}).all()
        return any(attempt == row[self._attempt] for _, attempt, _ in found)

    def look_for(self, connection: Connection, machine_code: str) -> bool:
        """Return whether the table shows a row with exactly this code, without a lock.

        Args:
            connection: A connection in a transaction.
            machine_code: The code.
        """
        found = connection.execute(self._stored, {"codes": [machine_code]}).all()
        return any(code == machine_code for code, _, _ in found)

    def owners(self, connection: Connection, machine_codes: Sequence[str]) -> dict[str, object]:
        """Lock the rows of bound codes, and return the keys of their owners by code.

        Args:
            connection: A connection in a transaction.
            machine_codes: The codes to look for.
        """
        statement = self._unprepared(self._stored_locked, connection)
        found = connection.execute(statement, {"codes": machine_codes}).all()
        return {code: self._unpadded(key) for code, _, key in found}

    def conflicting(self, connection: Connection, machine_code: str) -> list[Any]:
        """Lock and return the rows with exactly this code: code, attempt, key of the owner.

        Args:
            connection: A connection in a transaction.
            machine_code: The code.
        """
        found = connection.execute(self._conflicting, {"code": machine_code}).all()
        return [row for row in found if row[0] == machine_code]

    def _unprepared(self, statement: Select[Any], connection: Connection) -> Select[Any]:
        """Give a statement another text at each call, so that psycopg does not prepare it.

        An import repeats it while the table grows. PostgreSQL plans a prepared statement once: the plan for
        an empty table reads the whole table, and is kept until statistics are gathered.
        """
        if connection.dialect.driver != "psycopg":
            return statement
        return statement.suffix_with(f"/* {next(self._numbers)} */")

    def _is_row(self, stored: Any, row: Mapping[str, Any], user: User) -> bool:
        code, attempt, key = stored
        return (
            code == row[self._code]
            and attempt == row[self._attempt]
            and Owner(self._unpadded(key)).is_user(user)
        )


def is_expression(value: object) -> bool:
    """Return whether a value is an SQL expression, such as a scalar subquery or an attribute of a model.

    Args:
        value: A value of a row.
    """
    return isinstance(value, ClauseElement) or hasattr(value, "__clause_element__")


def _with(statement: Any, expressions: Mapping[str, Any]) -> Any:
    return statement.values(expressions) if expressions else statement


CHANGED = (
    "the database stored another row than the one that was sent: a trigger or a column type changes machine "
    "codes, attempts or owners (flask aegis-machines doctor lists triggers)"
)
