"""Where statements run: in a transaction on the host's engine, or joined to a transaction of the host."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Literal, TypeAlias, TypeVar, cast

from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.engine.base import Transaction
from sqlalchemy.orm import Mapper, Session, scoped_session
from sqlalchemy.sql import ClauseElement

from flask_aegis_machines._errors import ConfigurationError, Refusal, StoreFailure

from ._engines import address_of, admit, require_separate_connections
from ._failures import Failure, classify, describe
from ._retry import Retries

__all__ = ["SessionFactory", "Transactions", "Unit"]

T = TypeVar("T")
SessionFactory: TypeAlias = Callable[[], Session]

# SERVER_STATUS_IN_TRANS and SERVER_STATUS_AUTOCOMMIT, which a MySQL server reports with each reply.
_IN_TRANSACTION, _AUTOCOMMIT = 1, 2


class Unit:
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
        #: Whether something may be stored already, should the reply be lost now.
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

    def commit(self) -> None:
        """Commit the transaction; release the savepoint where the transaction is the host's."""
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            self.may_have_committed = True
            try:
                if self._is_committed():
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
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            try:
                transaction.rollback()
            except BaseException:
                self._invalidate()
                raise

    def close(self, error: BaseException | None = None) -> None:
        """Give the connection back, or throw it away where nobody knows its state. Raise nothing.

        Args:
            error: What ended the try, unless it ended well.
        """
        try:
            if not self._is_owned:
                self.rollback()
            elif self._connection is not None:
                if _leaves_doubt(error):
                    self._invalidate()
                elif error is not None:
                    self.rollback()
                if self._connection is not None:
                    self._connection.close()  # rolls back what is left, in one round trip
        except Exception:
            self._invalidate()
        self._connection = self._transaction = None

    def _is_committed(self) -> bool:
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
        """Throw the connection away and give its place in the pool back. Raise nothing."""
        if self._is_owned and self._connection is not None:
            for clean_up in (self._connection.invalidate, self._connection.close):
                with suppress(Exception):
                    clean_up()
            self._connection = None


def _leaves_doubt(error: BaseException | None) -> bool:
    """Return whether nobody knows the state of a connection after an error."""
    return error is not None and (not isinstance(error, Exception) or classify(error) is Failure.OUTAGE)


class _RequestScope:
    """Keeps the connection and the transaction of a look-up for the next call of the same request."""

    def __init__(self) -> None:
        self.unit: Unit | None = None

    def take(self, bind: Engine | Connection) -> Unit | None:
        """Return the unit that is kept on this bind; close another, so that nobody waits while holding it."""
        unit, self.unit = self.unit, None
        if unit is not None and unit.bind is not bind:
            unit.close()
            return None
        return unit


_request_scope: ContextVar[_RequestScope | None] = ContextVar("flask_aegis_machines_request", default=None)


class Transactions:
    """The transactions of one store.

    Args:
        session: Returns a session of the host, which knows the engine of the model.
        mapper: The mapper of the host's model.
        statement: A statement of the store, for a session that sends writes and reads to different engines.
        transaction: ``"own"``: each operation has a transaction. ``"host"``: each joins the transaction of
            the host's session, which the host commits.
        retry_timeout: Seconds after which no retry begins.

    Raises:
        ConfigurationError: ``session`` is no callable, or ``transaction`` neither of the two.
    """

    def __init__(
        self,
        session: SessionFactory,
        mapper: Mapper[Any],
        statement: ClauseElement,
        transaction: Literal["own", "host"],
        retry_timeout: float,
    ) -> None:
        if not callable(session):
            raise ConfigurationError(
                "session must be a callable that returns a Session: db.session of Flask-SQLAlchemy, "
                "a sessionmaker, or a lambda that returns the session of your app."
            )
        if transaction not in ("own", "host"):
            raise ConfigurationError('transaction must be "own" or "host".')
        self._session = session
        self._mapper = mapper
        self._statement = statement
        self._retry_timeout = retry_timeout
        self._made_in = self._prepared_in = os.getpid()
        self.joins_host = transaction == "host"

    def run(self, callback: Callable[[Unit], T], *, keep_for_request: bool = False) -> T:
        """Run a callback in a transaction, and retry it after transient failures until the retry timeout.

        Args:
            callback: Executes statements and commits; what it leaves uncommitted is rolled back.
            keep_for_request: Leave the connection and its transaction to the next call in a request scope.

        Returns:
            What the callback returns.

        Raises:
            Refusal: The callback raised it.
            ConfigurationError: The callback or the set-up of the session raised it.
            StoreFailure: No try succeeded. The text says how, without values.
        """
        bind, begin = self._resolve()
        is_repeatable = isinstance(bind, Engine)
        retries = Retries(self._retry_timeout if is_repeatable else None)
        scope = _request_scope.get() if is_repeatable else None
        may_have_committed = False
        while True:
            unit = (scope.take(bind) if scope else None) or Unit(bind, begin)
            try:
                result = callback(unit)
            except (Refusal, ConfigurationError):
                unit.close()
                raise
            except Exception as error:
                unit.close(error)
                failure, text = classify(error), describe(error)
            except BaseException as error:
                unit.close(error)
                raise
            else:
                if scope is not None and keep_for_request:
                    scope.unit = unit
                else:
                    unit.close()
                return result
            # Out of the handler, so that no traceback leads to the driver's error and the values that it
            # quotes.
            may_have_committed |= unit.may_have_committed and failure in (Failure.OUTAGE, Failure.UNKNOWN)
            if not retries.allows(failure):
                outcome = ", outcome unknown" if may_have_committed else ""
                raise StoreFailure(f"gave up at try {retries.tries}{outcome}: {text}")
            retries.wait()

    @contextmanager
    def request_scope(self, *, share: bool) -> Iterator[None]:
        """Prepare the engine for this process, and let the calls of one request share a connection.

        Args:
            share: Whether a look-up may keep its connection for the next call.
        """
        if (pid := os.getpid()) != self._prepared_in:
            with suppress(Exception):  # the call that needs the engine reports what is wrong with it
                self._resolve()
                self._prepared_in = pid
        if not share or self.joins_host:
            yield
            return
        scope = _RequestScope()
        token = _request_scope.set(scope)
        try:
            yield
        finally:
            _request_scope.reset(token)
            if scope.unit is not None:
                scope.unit.close()

    def check_engine(self) -> None:
        """Check the engine of the session, where the session can be asked for it already.

        Raises:
            ConfigurationError: The engine shares one connection with the host.
        """
        try:
            session: Any = self._session
            if not isinstance(session, scoped_session):
                session = session()
            if isinstance(session, scoped_session):
                # A session of its own: the host may still configure those that it will have.
                session = session.session_factory()
            bind = session.get_bind(self._mapper, clause=self._statement)
        except Exception:  # the extension of the host is initialized later, or needs a request
            return
        if isinstance(bind, Engine):
            require_separate_connections(bind)

    def connection_problem(self) -> str | None:
        """Try to connect once, without a retry, for the command ``doctor``.

        Returns:
            A sentence that names the database, its host and the role; ``None`` where a connection was made.
        """
        bind, _ = self._resolve()
        if not isinstance(bind, Engine):
            return None
        try:
            bind.connect().close()
        except Exception as error:
            return f"Cannot connect to {address_of(bind)}: {describe(error)}."
        return None

    def _resolve(self) -> tuple[Engine | Connection, Callable[[Connection], Transaction]]:
        session = self._session()
        if self.joins_host:
            return self._connection_of_host(session), _begin_savepoint
        bind = session.get_bind(self._mapper, clause=self._statement)
        if isinstance(bind, Engine):
            admit(bind, self._made_in)
            return bind, _begin
        # Who has begun a transaction commits it or, as test suites do, rolls everything back.
        return bind, _begin_savepoint if bind.in_transaction() else _begin

    def _connection_of_host(self, session: Session) -> Connection:
        """Return the connection of the host's transaction, with the pending rows of the host flushed."""
        if self._session() is not session:
            raise ConfigurationError(
                'transaction="host" needs the session that you commit: pass db.session or another '
                "scoped_session, or a lambda that returns the session of the request; a sessionmaker "
                "makes a new one each time."
            )
        try:
            session.flush()
            return session.connection({"mapper": self._mapper, "clause": self._statement})
        except Exception as error:
            text = describe(error)
        # Out of the handler: the driver's error quotes the values of the host's rows.
        raise StoreFailure(f"the pending rows of the session failed: {text}")


def _begin(connection: Connection) -> Transaction:
    return connection.begin()


def _begin_savepoint(connection: Connection) -> Transaction:
    # The driver of SQLite begins no transaction for a SAVEPOINT: its RELEASE would then commit.
    driver_connection: Any = connection.connection.dbapi_connection
    # MySQL accepts a SAVEPOINT in autocommit, stores the row, and fails at the RELEASE.
    if getattr(driver_connection, "get_autocommit", bool)():
        raise ConfigurationError(
            "The connection is in autocommit, so there is no transaction of yours to join: give the session "
            "an engine with ordinary transactions."
        )
    if connection.dialect.name == "sqlite" and not getattr(driver_connection, "in_transaction", True):
        connection.exec_driver_sql("BEGIN")
    return connection.begin_nested()
