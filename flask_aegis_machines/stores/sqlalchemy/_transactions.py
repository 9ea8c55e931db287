"""Where statements run: in a transaction on the host's engine, or joined to a transaction of the host."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal, TypeAlias, TypeVar

from flask import Flask, current_app, has_app_context
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.engine.base import Transaction
from sqlalchemy.orm import Mapper, Session, scoped_session
from sqlalchemy.sql import ClauseElement

from flask_aegis_machines._errors import ConfigurationError, Refusal, StoreFailure

from ._engines import address_of, prepare_engine, require_separate_connections
from ._failures import classify, describe_failure, leaves_doubt
from ._request_scope import RequestScope, current_scope, open_scope
from ._retry import Retries
from ._unit_of_work import UnitOfWork, begin, begin_savepoint

__all__ = ["SessionFactory", "Transactions"]

T = TypeVar("T")
SessionFactory: TypeAlias = Callable[[], Session]


class Transactions:
    """The transactions of one store.

    Args:
        session: Returns a session of the host, which knows the engine of the model.
        mapper: The mapper of the host's model.
        statement: A statement of the store, for a session that sends writes and reads to different engines.
        transaction: ``"own"``: each operation has a transaction. ``"host"``: each joins the transaction of
            the host's session, which the host commits.
        retry_timeout: Seconds in which contention and outages are retried.

    Raises:
        ConfigurationError: ``session`` is no callable, ``transaction`` neither of the two, or the timeout no
            number.
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
        if not isinstance(retry_timeout, (int, float)) or not retry_timeout >= 0:  # nor NaN
            raise ConfigurationError("deadline must be a number of seconds, such as 4.0.")
        self._session = session
        self._mapper = mapper
        self._statement = statement
        self._retry_timeout = retry_timeout
        self._made_in = self._prepared_in = os.getpid()
        self.joins_host = transaction == "host"

    def run(self, callback: Callable[[UnitOfWork], T], *, keep_for_request: bool = False) -> T:
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
        bind, begin_transaction = self._resolve()
        is_repeatable = isinstance(bind, Engine)
        retries = Retries(self._retry_timeout if is_repeatable else None)
        scope = current_scope() if is_repeatable else None
        may_have_committed = False
        while True:
            unit = (scope.take(bind) if scope else None) or UnitOfWork(bind, begin_transaction)
            try:
                result = callback(unit)
            except (Refusal, ConfigurationError):
                unit.close()
                raise
            except Exception as error:
                unit.close(error)
                failure, text, is_doubtful = classify(error), describe_failure(error), leaves_doubt(error)
            except BaseException as error:
                unit.close(error)
                raise
            else:
                if scope is not None and keep_for_request:
                    scope.keep(unit)
                else:
                    unit.close()
                return result
            # Out of the handler, so that no traceback leads to the driver's error and the values that it
            # quotes.
            may_have_committed |= unit.may_have_committed and is_doubtful
            retries.record(failure)
            if not retries.may_try_again():
                outcome = ", outcome unknown" if may_have_committed else ""
                raise StoreFailure(f"gave up at try {retries.tries}{outcome}: {text}")
            retries.wait()

    @contextmanager
    def request_scope(self, *, share: bool) -> Iterator[None]:
        """Prepare the engine for this process, and let the calls of one request share a connection.

        Args:
            share: Whether the look-up of this store may keep its connection for the next call.
        """
        self._prepare()
        with open_scope(RequestScope() if share and not self.joins_host else None):
            yield

    @contextmanager
    def join_request_scope(self, *, share: bool) -> Iterator[None]:
        """Prepare the engine for this process, and take the connection that the look-up keeps.

        Args:
            share: Whether the calls of this store need no other connection.
        """
        self._prepare()
        if (scope := current_scope()) is not None:
            scope.decide(is_shared=share and not self.joins_host)
        yield

    def _prepare(self) -> None:
        if (pid := os.getpid()) != self._prepared_in:
            with suppress(Exception):  # the call that needs the engine reports what is wrong with it
                self._bind_of(self._session())
                self._prepared_in = pid

    def check_engine(self, app: Flask) -> None:
        """Check the engine of the session, where the session can be asked for it already.

        Args:
            app: The app that the store is mounted in.

        Raises:
            ConfigurationError: The engine shares one connection with the host, or is async.
        """
        # At the end of a context the host may end its sessions, so one is pushed only where it is needed.
        is_inside = has_app_context() and current_app == app
        bind = self._bind_at_mount() if is_inside or not has_app_context() else None
        if bind is None and not is_inside:
            with suppress(Exception), app.app_context():  # what the host does at its end may fail
                bind = self._bind_at_mount()
        if isinstance(bind, Engine):
            require_separate_connections(bind)

    def _bind_at_mount(self) -> object:
        """Return the engine of the session; ``None`` if its extension needs a context, or comes later."""
        try:
            session: Any = self._session
            if not isinstance(session, scoped_session):
                session = session()
            if isinstance(session, scoped_session):
                # A session of its own: the host may still configure those that it will have.
                session = session.session_factory()
            return session.get_bind(self._mapper, clause=self._statement)
        except Exception:
            return None

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
            return f"Cannot connect to {address_of(bind)}: {describe_failure(error)}."
        return None

    def _resolve(self) -> tuple[Engine | Connection, Callable[[Connection], Transaction]]:
        session = self._session()
        bind = self._bind_of(session)
        if self.joins_host:
            return self._connection_of_host(session), begin_savepoint
        if isinstance(bind, Engine):
            return bind, begin
        # The owner of an open transaction commits it. Test suites roll it back.
        return bind, begin_savepoint if bind.in_transaction() else begin

    def _bind_of(self, session: Session) -> Engine | Connection:
        """Return the engine or the connection of the session, prepared for this process."""
        bind = session.get_bind(self._mapper, clause=self._statement)
        if isinstance(bind, Engine):
            prepare_engine(bind, self._made_in)
        return bind

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
            text = describe_failure(error)
        # Out of the handler: the driver's error quotes the values of the host's rows.
        raise StoreFailure(f"the pending rows of the session failed: {text}")
