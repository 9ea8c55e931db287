"""Where statements run: in a short transaction of our own, or joined to one of the host's."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from typing import Any, Literal, TypeAlias, TypeVar

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.sql import ClauseElement

from flask_aegis_machines._errors import ConfigurationError, Refusal, StoreFailure

from ._failures import Failure, classify, describe
from ._model import mapper_of

__all__ = ["Begin", "SessionFactory", "Transactions"]

T = TypeVar("T")
SessionFactory: TypeAlias = Callable[[], Session]
Begin: TypeAlias = Callable[[], AbstractContextManager[Connection]]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5


class Transactions:
    """The transactions of one store.

    Args:
        session: Returns a session of the host's, which says what engine the model is on.
        model: The host's model.
        statement: What the work is about, for a session that sends writes and reads to different engines.
        transaction: ``"own"``: every piece of work has its own connection and its own transaction.
            ``"host"``: work joins the transaction of the host's session, and the host commits it.
        deadline: Seconds up to which work is repeated after a failure that may pass.

    Raises:
        ConfigurationError: ``session`` is no callable, or ``transaction`` neither of the two.
    """

    def __init__(
        self,
        session: SessionFactory,
        model: type,
        statement: ClauseElement,
        transaction: Literal["own", "host"],
        deadline: float,
    ) -> None:
        if not callable(session):
            raise ConfigurationError(
                "session must be a callable that returns a Session: db.session of Flask-SQLAlchemy, "
                "a sessionmaker, or a lambda that returns the host's session."
            )
        if transaction not in ("own", "host"):
            raise ConfigurationError('transaction must be "own" or "host".')
        self._session = session
        self._mapper: Mapper[Any] = mapper_of(model)
        self._statement = statement
        self.of_host = transaction == "host"
        self._deadline = deadline

    def run(self, work: Callable[[Begin], T], *, statements: Literal["one", "many"] = "one") -> T:
        """Run a piece of work, again after failures that may pass.

        Work that joins a transaction of the host's runs once: what failed there cannot be repeated.

        Args:
            work: Gets a callable that begins a transaction, as often as it likes, one after the other.
            statements: Whether each transaction is of one statement, or of many that are committed together.

        Returns:
            What ``work`` returns.

        Raises:
            Refusal: ``work`` raised it.
            ConfigurationError: The transaction is the host's, but each call makes a session of its own.
            StoreFailure: ``work`` failed for good; the text says how, without values.
        """
        if self.of_host:
            session = self._session()
            if self._session() is not session:
                raise ConfigurationError(
                    'transaction="host" needs the session that you commit: pass db.session or another '
                    "scoped_session, or a lambda that returns the session of the request; a sessionmaker "
                    "makes a new one each time."
                )
            bind: Engine | Connection = self._flushed(session)
        else:
            bind = self._session().get_bind(self._mapper, clause=self._statement)
        if isinstance(bind, Connection):
            # Whoever has begun commits, or, as a test suite does, rolls everything back.
            begin = _joined if self.of_host or bind.in_transaction() else _begun
            return _repeat(work, partial(begin, bind), deadline=None)
        own = partial(_own, bind, alone=statements == "one")
        return _repeat(work, own, deadline=time.monotonic() + self._deadline)

    def _flushed(self, session: Session) -> Connection:
        """Let the host's own rows go first, and fail first; return the connection of its transaction."""
        try:
            session.flush()
            return session.connection({"mapper": self._mapper, "clause": self._statement})
        except Exception as error:
            text = describe(error)
        # Out of the handler, as below: the driver's error quotes the values of the host's rows.
        raise StoreFailure(f"the host's own rows failed: {text}")


@contextmanager
def _own(engine: Engine, *, alone: bool) -> Iterator[Connection]:
    connection = engine.connect()
    transaction = None
    try:
        # A statement alone is its own transaction on the server, so nothing can come between it and its
        # COMMIT, and Galera retries it by itself. The COMMIT after it is for engines that begin all the same.
        if alone and not connection.in_transaction():  # else of a test suite, whose begin() makes a savepoint
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        transaction = connection.begin()
        yield connection
        transaction.commit()
    except BaseException as error:
        try:
            if not isinstance(error, Exception) or classify(error) is Failure.OUTAGE:
                connection.invalidate()
            elif transaction is not None:
                transaction.rollback()
        except Exception:
            with suppress(Exception):
                connection.invalidate()
        raise
    finally:
        # After a failed COMMIT only the rollback above and this together free the connection.
        with suppress(Exception):
            connection.close()


@contextmanager
def _begun(connection: Connection) -> Iterator[Connection]:
    with connection.begin():
        yield connection


@contextmanager
def _joined(connection: Connection) -> Iterator[Connection]:
    # SQLite undoes a failed statement by itself, and its driver would commit at the release of a savepoint
    # that comes first in a transaction.
    alone = connection.dialect.name == "sqlite"
    with nullcontext() if alone else connection.begin_nested():
        yield connection


def _repeat(work: Callable[[Begin], T], begin: Begin, deadline: float | None) -> T:
    pause = _FIRST_PAUSE
    failures: list[Failure] = []
    while True:
        try:
            return work(begin)
        except Refusal:
            raise
        except Exception as error:
            failures.append(classify(error))
            text = describe(error)
        # Out of the handler, so that no traceback leads to the driver's error and the values that it quotes.
        latest = failures[-1]
        if (
            deadline is None
            or latest is Failure.PERMANENT
            or (latest in (Failure.ONCE, Failure.UNKNOWN) and failures.count(latest) > 1)
            # Past the deadline too an outage is looked into once: it may have committed.
            or (time.monotonic() >= deadline and (len(failures) > 1 or latest is not Failure.OUTAGE))
        ):
            unknown = ", outcome unknown" if {Failure.OUTAGE, Failure.UNKNOWN} & {*failures} else ""
            raise StoreFailure(f"gave up at try {len(failures)}{unknown}: {text}")
        time.sleep(random.uniform(0, pause))  # noqa: S311  # jitter, no secret
        pause = min(2 * pause, _LONGEST_PAUSE)
