"""A connection for one try of an operation, and the transaction on it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.engine.base import Transaction

from flask_aegis_machines._errors import ConfigurationError

from ._failures import Failure, classify

__all__ = ["UnitOfWork", "begin", "begin_savepoint"]

# SERVER_STATUS_IN_TRANS and SERVER_STATUS_AUTOCOMMIT, which a MySQL server reports with each reply.
_IN_TRANSACTION, _AUTOCOMMIT = 1, 2


class UnitOfWork:
    """A connection for one try, with at most one transaction on it at a time.

    Args:
        bind: The engine, from which the connection is taken when it is needed, or a connection of the host.
        begin: Begins a transaction on the connection.
    """

    def __init__(self, bind: Engine | Connection, begin: Callable[[Connection], Transaction]) -> None:
        self.bind = bind
        self._begin = begin
        self._is_owned = isinstance(bind, Engine)
        self._connection = bind if isinstance(bind, Connection) else None
        self._transaction: Transaction | None = None
        #: Whether a row may be durable if the reply to the current statement is lost.
        self.may_have_committed = False

    @property
    def dialect(self) -> Dialect:
        """The dialect of the database. Needs no connection."""
        return self.bind.dialect

    @property
    def connection(self) -> Connection:
        """The connection, in a transaction, which begins here unless it has begun."""
        if self._connection is None:
            self._connection = cast(Engine, self.bind).connect()
        if self._transaction is None:
            self._transaction = self._begin(self._connection)
        return self._connection

    @property
    def was_ended_by_hook(self) -> bool:
        """Whether the transaction was ended on the connection itself, which still works."""
        connection, transaction = self._connection, self._transaction
        return (
            connection is not None
            and transaction is not None
            and not transaction.is_active
            and not connection.invalidated
        )

    def commit(self) -> None:
        """Commit the transaction that has begun; release the savepoint in a transaction of the host."""
        transaction, self._transaction = cast(Transaction, self._transaction), None
        self.may_have_committed = True
        try:
            if self._is_in_autocommit():
                transaction.rollback()  # which the engine skips
            else:
                transaction.commit()
        except BaseException:
            # Without this, SQLite keeps the transaction open in the pool, and its next user commits it.
            with suppress(Exception):
                transaction.rollback()
            raise

    def rollback(self) -> None:
        """Roll the transaction back; to the savepoint where the transaction is the host's."""
        is_over = self.was_ended_by_hook
        transaction, self._transaction = self._transaction, None
        if transaction is not None and not is_over:
            try:
                transaction.rollback()
            except BaseException:
                self._invalidate()
                raise

    def close(self, error: BaseException | None = None) -> None:
        """Give the connection back, or invalidate it if its state is unknown.

        Args:
            error: What ended the try, unless it ended well.

        Raises:
            BaseException: Only what is no ``Exception``, such as the end of the worker.
        """
        try:
            if not self._is_owned:
                self.rollback()
            elif self._connection is not None:
                if _has_unknown_state(error):
                    self._invalidate()
                elif error is not None:
                    self.rollback()
                if self._connection is not None:
                    self._connection.close()  # rolls back what is left, in one round trip
        except BaseException as failure:
            self._invalidate()
            if not isinstance(failure, Exception):
                raise
        finally:
            self._connection = self._transaction = None

    def _is_in_autocommit(self) -> bool:
        """Return whether the server reports that it commits each statement, and has no transaction open.

        Then a COMMIT is a round trip for nothing. PostgreSQL's drivers know that themselves, and PyMySQL
        does not; other drivers do not show the report. ``skip_autocommit_rollback`` is an option of
        ``create_engine()`` from SQLAlchemy 2.0.43 on.
        """
        if not self._is_owned or not getattr(self.dialect, "skip_autocommit_rollback", False):
            return False
        driver_connection = cast(Connection, self._connection).connection.dbapi_connection
        status = getattr(driver_connection, "server_status", None)
        return isinstance(status, int) and status & (_IN_TRANSACTION | _AUTOCOMMIT) == _AUTOCOMMIT

    def _invalidate(self) -> None:
        """Throw the connection away, and give its place in the pool back."""
        if self._is_owned and self._connection is not None:
            for clean_up in (self._connection.invalidate, self._connection.close):
                with suppress(Exception):
                    clean_up()
            self._connection = None


def _has_unknown_state(error: BaseException | None) -> bool:
    """Return whether an error leaves a connection in a state that nobody knows."""
    return error is not None and (not isinstance(error, Exception) or classify(error) is Failure.OUTAGE)


def begin(connection: Connection) -> Transaction:
    """Begin a transaction.

    Args:
        connection: A connection of the stores, or one of the host on which nobody has begun.

    Returns:
        The transaction.
    """
    return connection.begin()


def begin_savepoint(connection: Connection) -> Transaction:
    """Begin a savepoint in the transaction of the host.

    Args:
        connection: The connection of the host.

    Returns:
        The savepoint.

    Raises:
        ConfigurationError: The connection is in autocommit, where there is no transaction to join.
    """
    driver_connection: Any = connection.connection.dbapi_connection
    # MySQL accepts a SAVEPOINT in autocommit, stores the row, and fails at the RELEASE. Its drivers have this
    # method.
    get_autocommit = getattr(driver_connection, "get_autocommit", lambda: False)
    if get_autocommit():
        raise ConfigurationError(
            "The connection is in autocommit, so there is no transaction to join: give the session "
            "an engine with ordinary transactions."
        )
    # The driver of SQLite begins no transaction for a SAVEPOINT: its RELEASE would then commit.
    if connection.dialect.name == "sqlite" and not getattr(driver_connection, "in_transaction", True):
        connection.exec_driver_sql("BEGIN")
    return connection.begin_nested()
