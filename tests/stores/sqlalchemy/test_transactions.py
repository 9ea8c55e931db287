"""Where statements run: beside the host's session, or joined to its transaction."""

from __future__ import annotations

import sqlite3
from typing import Any, NoReturn

import pymysql
import pytest
from sqlalchemy import (
    create_engine,
    event,
    select,
)
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import QueuePool

from flask_aegis_machines import ConfigurationError, MachineCodeTaken, StoreFailure
from flask_aegis_machines.stores.sqlalchemy import (
    SQLAlchemyMachineStore,
    SQLAlchemyUserStore,
    _retry,
    _transactions,
)
from flask_aegis_machines.stores.sqlalchemy._failures import Failure
from flask_aegis_machines.testing import make_machine
from tests.support.driver_failures import Fault, wrap
from tests.support.engines import on, stored
from tests.support.hosts import FIRST, SECOND, USER_COLUMNS
from tests.support.models import OTHER, Account, Machine

CODE = make_machine().machine_code
MYSQL = pymysql.err.OperationalError

NEWCOMER = {"id": 3, "aegisspeed_id": "ASD000003", "id_number": "3" * 18}


def machines_in(engine: Engine) -> list[int]:
    """Return the owners of all committed machines, read on a connection of its own."""
    with Session(engine) as session:
        return list(session.scalars(select(Machine.user_id)))


def accounts_in(engine: Engine) -> list[int]:
    """Return all committed accounts, read on a connection of its own."""
    with Session(engine) as session:
        return sorted(session.scalars(select(Account.id)))


class TestOwnTransaction:
    """By default nothing of the host's session is used but its engine."""

    def test_the_session_of_the_host_is_not_used(self, engine: Engine) -> None:
        """Rows that the host has not flushed stay so: neither flushed, nor committed, nor thrown away."""
        with Session(engine) as session:
            loaded = session.get(Account, 1)
            session.add(Account(**NEWCOMER))
            store = SQLAlchemyMachineStore(lambda: session, Machine)
            users = SQLAlchemyUserStore(lambda: session, Account, **USER_COLUMNS)
            assert users.get("1") == FIRST
            store.bind(make_machine(), FIRST)
            with pytest.raises(MachineCodeTaken):
                store.bind(make_machine(), SECOND)
            assert len(session.new) == 1
            assert loaded in session
            assert accounts_in(engine) == [1, 2]
            session.commit()
        assert accounts_in(engine) == [1, 2, 3]
        assert machines_in(engine) == [FIRST.key]

    def test_pending_rows_that_cannot_be_flushed_change_nothing(self, engine: Engine) -> None:
        """The binding succeeds, and the flush of the host raises its own error."""
        with Session(engine) as session:
            session.add(Account(**{**NEWCOMER, "aegisspeed_id": "ASD000001"}))
            SQLAlchemyMachineStore(lambda: session, Machine).bind(make_machine(), FIRST)
            with pytest.raises(IntegrityError):
                session.flush()
        assert machines_in(engine) == [FIRST.key]

    def test_an_exhausted_pool_is_waited_for_and_then_reported(self, engine: Engine) -> None:
        """Where the host holds every connection, the failure says so, and nothing is bound."""
        small = create_engine(engine.url, poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=0.05)
        store = SQLAlchemyMachineStore(sessionmaker(small), Machine, deadline=0.2)
        with small.connect(), pytest.raises(StoreFailure, match=r"try \d+: sqlalchemy\.exc\.TimeoutError"):
            store.bind(make_machine(), FIRST)
        store.bind(make_machine(), FIRST)
        assert machines_in(engine) == [FIRST.key]
        small.dispose()


class TestBrokenConnections:
    """What fails while a failure is being cleaned up."""

    @pytest.mark.parametrize("broken", ["rollback", "close", "commit"])
    def test_clean_up_that_fails_changes_no_outcome(
        self, engine: Engine, sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch, broken: str
    ) -> None:
        """A rollback, a return to the pool or a COMMIT that raises is followed by a verdict all the same."""
        store = SQLAlchemyMachineStore(sessions, Machine)
        store.bind(make_machine(), FIRST)
        failures = []

        def fail(*args: Any) -> None:
            if not failures:
                failures.append(args)
                raise OperationalError(broken, {}, Exception("gone"), connection_invalidated=True)

        if broken == "close":
            real = Connection.close

            def close(self: Connection) -> None:
                real(self)
                fail()

            monkeypatch.setattr(Connection, "close", close)
        else:
            event.listen(engine, broken, fail)
        with pytest.raises(MachineCodeTaken):
            store.bind(make_machine(), SECOND)
        # PostgreSQL commits the verdict, to wait for a standby; the others roll back before they read.
        unused = "rollback" if engine.dialect.name == "postgresql" else "commit"
        assert len(failures) == int(broken != unused)
        failures.append(())
        assert engine.pool.checkedout() == 0
        assert machines_in(engine) == [FIRST.key]

    def test_a_connection_that_cannot_be_set_up_is_given_up(
        self, engine: Engine, sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A driver's bare error, raised before any transaction began, is tried again like the others."""
        real = Connection.begin
        failures = []

        def fail_once(self: Connection) -> Any:
            if not failures:
                failures.append(self)
                raise sqlite3.OperationalError("database is locked")
            return real(self)

        monkeypatch.setattr(Connection, "begin", fail_once)
        SQLAlchemyMachineStore(sessions, Machine).bind(make_machine(), FIRST)
        assert len(failures) == 1
        assert engine.pool.checkedout() == 0
        assert machines_in(engine) == [FIRST.key]

    def test_a_connection_that_cannot_even_be_invalidated_is_let_go(
        self, sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing that the clean-up meets hides the failure itself."""

        def fail(*args: Any, **named: Any) -> None:
            raise RuntimeError("beyond repair")

        for method in ("invalidate", "begin", "close"):
            monkeypatch.setattr(Connection, method, fail)
        with pytest.raises(StoreFailure, match=r"gave up at try 2: builtins\.RuntimeError"):
            SQLAlchemyMachineStore(sessions, Machine).bind(make_machine(), FIRST)


class TestJoined:
    """A test suite of the host's that rolls an outer transaction back."""

    def test_nothing_outlives_the_outer_transaction(self, engine: Engine) -> None:
        """Where the session is bound to a connection the store joins it, also as its first statement."""
        with engine.connect() as connection:
            outer = connection.begin()
            store = SQLAlchemyMachineStore(sessionmaker(connection), Machine)
            store.bind(make_machine(), FIRST)
            with pytest.raises(MachineCodeTaken):
                store.bind(make_machine(), SECOND)
            assert [machine.machine_code for machine in store.list_for(FIRST)] == [
                make_machine().machine_code
            ]
            outer.rollback()
        assert machines_in(engine) == []

    def test_a_conflict_leaves_the_outer_transaction_usable(self, engine: Engine) -> None:
        """What the suite wrote before and after a refusal is in one transaction still."""
        SQLAlchemyMachineStore(sessionmaker(engine), Machine).bind(make_machine(), FIRST)
        with engine.connect() as connection:
            outer = connection.begin()
            session = Session(connection)
            session.add(Account(**NEWCOMER))
            session.flush()
            with pytest.raises(MachineCodeTaken):
                SQLAlchemyMachineStore(lambda: session, Machine).bind(make_machine(), SECOND)
            assert session.get(Account, 3) is not None
            outer.commit()
        assert accounts_in(engine) == [1, 2, 3]

    def test_a_failure_is_not_tried_again(self, engine: Engine) -> None:
        """A transaction that failed cannot be repeated from the middle."""
        tries: list[object] = []

        @event.listens_for(engine, "before_cursor_execute")
        def fail(*args: object) -> None:
            tries.append(args)
            raise OperationalError("INSERT", {}, Exception("gone"), connection_invalidated=True)

        with (
            engine.connect() as connection,
            connection.begin(),
            pytest.raises(StoreFailure, match="gave up at try 1"),
        ):
            SQLAlchemyMachineStore(sessionmaker(connection), Machine).bind(make_machine(), FIRST)
        assert len(tries) == 1


class TestHostTransaction:
    """``transaction="host"``: the host owns the transaction, and commits it."""

    def test_nothing_is_there_before_the_host_commits(self, engine: Engine) -> None:
        """The host's rows and ours become durable together, and not before."""
        with Session(engine) as session:
            store = SQLAlchemyMachineStore(lambda: session, Machine, transaction="host")
            users = SQLAlchemyUserStore(lambda: session, Account, **USER_COLUMNS, transaction="host")
            session.add(Account(**NEWCOMER))
            newcomer = users.get("3")
            assert newcomer is not None
            store.bind(make_machine(), newcomer)
            session.rollback()
            assert (accounts_in(engine), machines_in(engine)) == ([1, 2], [])
            session.add(Account(**NEWCOMER))
            store.bind(make_machine(), newcomer)
            session.commit()
        assert (accounts_in(engine), machines_in(engine)) == ([1, 2, 3], [3])

    def test_a_session_that_nobody_commits_is_refused(self, sessions: sessionmaker[Session]) -> None:
        """Where each call makes a new session, nobody would commit a binding that succeeded."""
        store = SQLAlchemyMachineStore(sessions, Machine, transaction="host")
        with pytest.raises(ConfigurationError, match="needs the session that you commit"):
            store.bind(make_machine(), FIRST)

    def test_a_machine_that_comes_first_is_not_committed_either(self, engine: Engine) -> None:
        """No savepoint of the store ends the host's transaction."""
        with Session(engine) as session:
            SQLAlchemyMachineStore(lambda: session, Machine, transaction="host").bind(make_machine(), FIRST)
            assert session.scalars(select(Machine.user_id)).all() == [FIRST.key]
            session.rollback()
        assert machines_in(engine) == []

    def test_pending_rows_of_the_host_survive_a_conflict(self, engine: Engine) -> None:
        """A refusal takes nothing of the host's away."""
        SQLAlchemyMachineStore(sessionmaker(engine), Machine).bind(make_machine(), FIRST)
        with Session(engine) as session:
            session.add(Account(**NEWCOMER))
            store = SQLAlchemyMachineStore(lambda: session, Machine, transaction="host")
            with pytest.raises(MachineCodeTaken) as taken:
                store.bind(make_machine(), SECOND)
            assert not taken.value.by_same_user
            session.commit()
        assert (accounts_in(engine), machines_in(engine)) == ([1, 2, 3], [FIRST.key])

    def test_failures_of_pending_rows_are_reported_as_such(self, engine: Engine) -> None:
        """A pending row with a taken key is no taken machine code, and its values reach nobody."""
        with Session(engine) as session:
            session.add(Account(**{**NEWCOMER, "aegisspeed_id": "ASD000001"}))
            store = SQLAlchemyMachineStore(lambda: session, Machine, transaction="host")
            with pytest.raises(
                StoreFailure, match=r"the pending rows of the session failed: .*IntegrityError"
            ) as failure:
                store.bind(make_machine(), FIRST)
        assert "ASD000001" not in str(failure.value)
        assert (failure.value.__cause__, failure.value.__context__) == (None, None)
        assert machines_in(engine) == []


@pytest.fixture
def invalidated(engine: Engine) -> list[object]:
    """The connections that were thrown away."""
    seen: list[object] = []
    event.listen(engine, "invalidate", lambda *args: seen.append(args[0]))
    return seen


@on("sqlite-begin")
def test_a_commit_that_failed_leaves_no_lock_and_no_row(engine: Engine) -> None:
    """The connection goes back to the pool without a transaction that the next user would commit."""

    def refuse(connection: Connection) -> NoReturn:
        raise OperationalError("COMMIT", {}, sqlite3.OperationalError("database is locked"))

    event.listen(engine, "commit", refuse)
    with pytest.raises(StoreFailure, match="database is locked"):
        SQLAlchemyMachineStore(sessionmaker(engine), Machine, deadline=0).bind(make_machine(), FIRST)
    event.remove(engine, "commit", refuse)
    beside = create_engine(engine.url, connect_args={"timeout": 0})
    SQLAlchemyMachineStore(sessionmaker(beside), Machine, deadline=0).bind(make_machine(OTHER), SECOND)
    beside.dispose()
    with engine.begin() as connection:
        connection.execute(select(Machine.id))
    assert stored(engine) == [(OTHER, SECOND.key)]


@pytest.mark.parametrize("failures", [1, 9])
def test_an_error_behind_the_insert_is_retried_or_reported(engine: Engine, failures: int) -> None:
    """A listener that fails behind the INSERT does not make it a refusal or a certain failure."""
    store = SQLAlchemyMachineStore(sessionmaker(engine), Machine)
    Fault(engine, "INSERT", "after", failures, RuntimeError("of a listener"))
    if failures == 1:
        store.bind(make_machine(), FIRST)
    else:
        with pytest.raises(StoreFailure, match=r"gave up at try 2, outcome unknown: builtins\.RuntimeError"):
            store.bind(make_machine(), FIRST)
    assert stored(engine) == [(make_machine().machine_code, FIRST.key)][: int(failures == 1)]


@pytest.mark.parametrize("broken", ["rollback", "close"])
def test_a_clean_up_that_fails_for_good_hides_no_verdict(
    engine: Engine,
    sessions: sessionmaker[Session],
    monkeypatch: pytest.MonkeyPatch,
    invalidated: list[object],
    broken: str,
) -> None:
    """No retry heals an error that is not the database's; what cannot be rolled back is thrown away."""
    store = SQLAlchemyMachineStore(sessions, Machine)
    store.bind(make_machine(), FIRST)
    failures: list[object] = []

    def fail(*args: object) -> None:
        if not failures:
            failures.append(args)
            raise RuntimeError("beyond repair")

    if broken == "rollback":
        event.listen(engine, "rollback", fail)
    else:
        real = Connection.close

        def close(self: Connection) -> None:
            real(self)
            fail()

        monkeypatch.setattr(Connection, "close", close)
    with pytest.raises(MachineCodeTaken):
        store.bind(make_machine(), SECOND)
    rolls_back = broken == "rollback" and engine.dialect.name != "postgresql"
    assert (len(failures), len(invalidated)) == (int(broken == "close" or rolls_back), int(rolls_back))


def test_a_clean_up_that_fails_after_the_commit_changes_nothing(
    engine: Engine, sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that cannot be given back was of use all the same."""
    real = Connection.close

    def close(self: Connection) -> None:
        real(self)
        raise RuntimeError("beyond repair")

    with monkeypatch.context() as patched:
        patched.setattr(Connection, "close", close)
        SQLAlchemyMachineStore(sessions, Machine).bind(make_machine(), FIRST)
    assert stored(engine) == [(CODE, FIRST.key)]


@on("sqlite")
def test_the_first_failure_is_reported_and_no_later_one(
    sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong with a connection afterwards, the log learns what went wrong first."""

    def fail_with(error: type[Exception]) -> Any:
        def fail(*args: object, **named: object) -> NoReturn:
            raise error

        return fail

    errors = {"begin": OSError, "invalidate": LookupError, "close": EOFError}
    for method, error in errors.items():
        monkeypatch.setattr(Connection, method, fail_with(error))
    monkeypatch.setattr(_transactions, "classify", lambda error: Failure.OUTAGE)
    with pytest.raises(StoreFailure, match=r"builtins\.OSError"):
        SQLAlchemyMachineStore(sessions, Machine, deadline=0).bind(make_machine(), FIRST)


@on("sqlite")
@pytest.mark.parametrize(("code", "thrown_away"), [(1047, 1), (1213, 0)], ids=["outage", "contention"])
def test_a_connection_is_thrown_away_only_after_an_outage(
    store: SQLAlchemyMachineStore, engine: Engine, invalidated: list[object], code: int, thrown_away: int
) -> None:
    """A Galera node outside of the primary component answers pings, so its connections must not stay."""
    Fault(engine, "INSERT", "before", 1, wrap(MYSQL(code, "")))
    store.bind(make_machine(), FIRST)
    assert len(invalidated) == thrown_away


def test_an_interrupt_at_the_commit_throws_the_connection_away(
    store: SQLAlchemyMachineStore, engine: Engine, invalidated: list[object]
) -> None:
    """Nobody knows in what state it is."""

    def stop(connection: Connection) -> NoReturn:
        raise KeyboardInterrupt

    event.listen(engine, "commit", stop)
    with pytest.raises(KeyboardInterrupt):
        store.bind(make_machine(), FIRST)
    assert (len(invalidated), engine.pool.checkedout()) == (1, 0)


@pytest.mark.parametrize("transaction", ["own", "host"])
def test_each_model_may_have_an_engine_of_its_own(engine: Engine, transaction: Any) -> None:
    """A session with several binds (SQLALCHEMY_BINDS) is asked for the machine's."""
    elsewhere = create_engine("sqlite://")
    with Session(elsewhere, binds={Machine: engine}) as session:
        store = SQLAlchemyMachineStore(lambda: session, Machine, transaction=transaction)
        store.bind(make_machine(), FIRST)
        session.commit()
    assert stored(engine) == [(CODE, FIRST.key)]
    elsewhere.dispose()


def test_joined_work_has_a_savepoint(engine: Engine) -> None:
    """A refusal or a hook can undo its part, and the transaction of the host stays usable."""
    seen: list[object] = []
    event.listen(engine, "savepoint", lambda *args: seen.append(args))
    with engine.connect() as connection:
        outer = connection.begin()
        store = SQLAlchemyMachineStore(sessionmaker(connection), Machine)
        store.bind(make_machine(OTHER), SECOND)  # asks the catalogue
        seen.clear()
        store.bind(make_machine(), FIRST)
        outer.rollback()
    assert len(seen) == 1
    assert stored(engine) == []


@on("sqlite")
def test_pauses_grow_up_to_half_a_second_and_are_random(
    sessions: sessionmaker[Session], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those who collided do not collide again, and a server that comes back is not stormed."""
    bounds: list[tuple[float, float]] = []
    slept: list[float] = []

    def uniform(low: float, high: float) -> float:
        bounds.append((low, high))
        return high / 2

    monkeypatch.setattr(_retry.random, "uniform", uniform)
    monkeypatch.setattr(_retry.time, "sleep", slept.append)
    Fault(engine, "INSERT", "before", 7, wrap(MYSQL(1213, "")))
    SQLAlchemyMachineStore(sessions, Machine).bind(make_machine(), FIRST)
    assert bounds == [(0, pause) for pause in (0.02, 0.04, 0.08, 0.16, 0.32, 0.5, 0.5)]
    assert slept == [high / 2 for _, high in bounds]
