"""Within a request, a look-up and what follows it share a connection and a transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import QueuePool

from flask_aegis_machines import Machine as MachineRecord
from flask_aegis_machines import MachineCodeTaken, User
from flask_aegis_machines.stores import UserStore
from flask_aegis_machines.stores.memory import MemoryMachineStore
from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore, SQLAlchemyUserStore
from flask_aegis_machines.testing import make_machine
from tests.support.driver_failures import Fault, lost_connection
from tests.support.engines import on, stored
from tests.support.hosts import FIRST, SECOND, USER_COLUMNS
from tests.support.models import OTHER, Account, Machine

CODE = make_machine().machine_code


class Steps:
    """What an engine does: check-outs of its pool, and the ends of transactions."""

    def __init__(self, engine: Engine) -> None:
        self.seen: list[str] = []
        event.listen(engine, "checkout", lambda *args: self.seen.append("checkout"))
        for name in ("begin", "commit", "rollback"):
            event.listen(engine, name, lambda connection, name=name: self.seen.append(name))


@pytest.fixture
def users(sessions: sessionmaker[Session]) -> SQLAlchemyUserStore:
    """The users of the host."""
    return SQLAlchemyUserStore(sessions, Account, **USER_COLUMNS)


@pytest.fixture
def warm(store: SQLAlchemyMachineStore) -> SQLAlchemyMachineStore:
    """A store that has asked the catalogue already."""
    store.bind(make_machine(OTHER), SECOND)
    return store


@contextmanager
def request_of(users: UserStore, machines: SQLAlchemyMachineStore) -> Iterator[User]:
    """Look the first user up, as a request does."""
    with users.request_scope(), machines.request_scope():
        user = users.get("1")
        assert user is not None
        yield user


def test_a_registration_is_one_transaction(
    engine: Engine, users: SQLAlchemyUserStore, warm: SQLAlchemyMachineStore
) -> None:
    """One check-out, one BEGIN and one COMMIT serve the look-up and the INSERT."""
    steps = Steps(engine)
    with request_of(users, warm) as user:
        warm.bind(make_machine(), user)
        assert engine.pool.checkedout() == 0
    assert steps.seen == ["checkout", "begin", "commit"]


def test_a_refusal_needs_no_second_connection(
    engine: Engine, users: SQLAlchemyUserStore, warm: SQLAlchemyMachineStore
) -> None:
    """The verdict is read on the same connection."""
    warm.bind(make_machine(), SECOND)
    steps = Steps(engine)
    with request_of(users, warm) as user, pytest.raises(MachineCodeTaken):
        warm.bind(make_machine(), user)
    assert steps.seen.count("checkout") == 1
    assert engine.pool.checkedout() == 0


def test_reads_share_the_connection_too(
    engine: Engine, users: SQLAlchemyUserStore, warm: SQLAlchemyMachineStore
) -> None:
    """The check of a code and the list go on where the look-up was."""
    steps = Steps(engine)
    with request_of(users, warm):
        assert warm.owner_of(CODE) is None
    with request_of(users, warm) as user:
        assert warm.list_for(user) == []
    assert steps.seen.count("checkout") == 2


def test_a_refused_request_gives_the_connection_back(
    engine: Engine, users: SQLAlchemyUserStore, store: SQLAlchemyMachineStore
) -> None:
    """Where nothing follows the look-up, the end of the request ends its transaction."""
    with request_of(users, store):
        assert engine.pool.checkedout() == 1
    assert engine.pool.checkedout() == 0


def test_without_a_request_each_call_has_its_own_transaction(
    engine: Engine, users: SQLAlchemyUserStore
) -> None:
    """A command or a Celery task holds no connection between two calls."""
    steps = Steps(engine)
    for identity, user in (("1", FIRST), ("2", SECOND)):
        assert users.get(identity) == user
        assert engine.pool.checkedout() == 0
    assert steps.seen.count("checkout") == steps.seen.count("begin") == 2


def test_a_repetition_has_a_transaction_of_its_own(
    engine: Engine, users: SQLAlchemyUserStore, warm: SQLAlchemyMachineStore
) -> None:
    """After a failure the look-up's transaction is over, and the INSERT is repeated without it."""
    Fault(engine, "INSERT", "before", 1, lost_connection())
    steps = Steps(engine)
    with request_of(users, warm) as user:
        warm.bind(make_machine(), user)
    assert steps.seen.count("checkout") == 2
    assert (CODE, FIRST.key) in stored(engine)
    assert engine.pool.checkedout() == 0


def test_a_pool_of_one_is_enough(engine: Engine) -> None:
    """No call waits for a connection while another holds one, within a request and without."""
    small = create_engine(engine.url, poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=1)
    users = SQLAlchemyUserStore(sessionmaker(small), Account, **USER_COLUMNS)
    machines = SQLAlchemyMachineStore(sessionmaker(small), Machine)
    with request_of(users, machines) as user:
        machines.bind(make_machine(), user)
    with request_of(users, machines) as user, pytest.raises(MachineCodeTaken):
        machines.bind(make_machine(), user)
    assert users.get("2") == SECOND
    with pytest.raises(MachineCodeTaken):
        machines.bind(make_machine(), SECOND)
    assert len(machines.list_for(FIRST)) == 1
    small.dispose()


def test_values_find_the_connection_given_back(engine: Engine, users: SQLAlchemyUserStore) -> None:
    """A function of the host may need a connection of the pool."""
    held: list[int] = []

    def values(machine: MachineRecord, user: User) -> dict[str, object]:
        held.append(engine.pool.checkedout())  # type: ignore[attr-defined]
        return {}

    store = SQLAlchemyMachineStore(sessionmaker(engine), Machine, values=values)
    with request_of(users, store) as user:
        store.bind(make_machine(), user)
    assert held == [0]


def test_a_bind_of_a_subclass_finds_the_connection_given_back(
    engine: Engine, users: SQLAlchemyUserStore
) -> None:
    """What a team adds to bind() may need a connection of the pool."""
    held: list[int] = []

    class Extended(SQLAlchemyMachineStore):
        def bind(self, machine: MachineRecord, user: User) -> None:
            held.append(engine.pool.checkedout())  # type: ignore[attr-defined]
            super().bind(machine, user)

    store = Extended(sessionmaker(engine), Machine)
    with request_of(users, store) as user:
        store.bind(make_machine(), user)
    assert held == [0]


@on("sqlite")
def test_another_engine_ends_the_look_up_first(engine: Engine) -> None:
    """Users on one engine, machines on another: the first connection is given back before the second."""
    elsewhere = create_engine(engine.url, poolclass=QueuePool)
    held: list[int] = []
    event.listen(elsewhere, "checkout", lambda *args: held.append(engine.pool.checkedout()))  # type: ignore[attr-defined]
    users = SQLAlchemyUserStore(sessionmaker(engine), Account, **USER_COLUMNS)
    machines = SQLAlchemyMachineStore(sessionmaker(elsewhere), Machine)
    with request_of(users, machines) as user:
        machines.bind(make_machine(), user)
    assert held == [0]
    elsewhere.dispose()


@on("sqlite")
def test_a_transaction_of_the_host_is_not_shared(engine: Engine) -> None:
    """It is the host's session that both stores join."""
    sessions = scoped_session(sessionmaker(engine))
    users = SQLAlchemyUserStore(sessions, Account, **USER_COLUMNS, transaction="host")
    machines = SQLAlchemyMachineStore(sessions, Machine, transaction="host")
    with request_of(users, machines) as user:
        machines.bind(make_machine(), user)
    connection: Connection = sessions.connection()
    assert connection.in_transaction()
    sessions.commit()
    sessions.remove()
    assert stored(engine) == [(CODE, FIRST.key)]


class CuriousUsers(SQLAlchemyUserStore):
    """A look-up that goes on in a session of the host."""

    def get(self, identity: str) -> User | None:
        user = super().get(identity)
        with self.sessions() as session:
            session.get(Account, 1)
        return user

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        super().__init__(sessions, Account, **USER_COLUMNS)
        self.sessions = sessions


class Delegating(UserStore):
    """A store of the host's around ours."""

    def __init__(self, users: SQLAlchemyUserStore) -> None:
        self.users = users

    def get(self, identity: str) -> User | None:
        return self.users.get(identity)


@on("sqlite")
@pytest.mark.parametrize("delegated", [False, True])
def test_a_look_up_of_the_host_keeps_no_connection(engine: Engine, delegated: bool) -> None:
    """What follows in it may need the only connection of the pool."""
    small = create_engine(engine.url, poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=0.1)
    sessions = sessionmaker(small)
    users = CuriousUsers(sessions)
    machines = SQLAlchemyMachineStore(sessions, Machine)
    with request_of(Delegating(users) if delegated else users, machines) as user:
        machines.bind(make_machine(), user)
    assert stored(engine) == [(CODE, 1)]
    small.dispose()


@on("sqlite")
def test_a_machine_store_of_the_host_finds_the_pool_whole(engine: Engine, users: SQLAlchemyUserStore) -> None:
    """Nobody would take the connection that the look-up kept."""
    with users.request_scope(), MemoryMachineStore().request_scope():
        users.get("1")
        assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]


@on("sqlite")
def test_a_look_up_that_is_patched_keeps_no_connection(engine: Engine, users: SQLAlchemyUserStore) -> None:
    """A wrapper on the instance may go on in another session, as a subclass may."""
    look_up = users.get
    users.get = lambda identity: look_up(identity)  # type: ignore[method-assign]
    machines = SQLAlchemyMachineStore(sessionmaker(engine), Machine)
    with request_of(users, machines):
        assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]


@on("sqlite")
def test_a_thread_that_outlives_its_request_keeps_no_connection(
    engine: Engine, users: SQLAlchemyUserStore, warm: SQLAlchemyMachineStore
) -> None:
    """It has a copy of the request's context, whose scope is closed."""
    with request_of(users, warm):
        context = copy_context()
    context.run(users.get, "1")
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]


@on("sqlite")
def test_a_request_inside_of_another_changes_nothing(
    engine: Engine, sessions: sessionmaker[Session], users: SQLAlchemyUserStore
) -> None:
    """Its stores do not decide for those of the outer request, whose hook may need the connection."""
    outer = SQLAlchemyMachineStore(sessions, Machine, values=lambda machine, user: {})
    with users.request_scope(), outer.request_scope():
        with SQLAlchemyMachineStore(sessions, Machine).request_scope():
            pass
        users.get("1")
        assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
