"""The machine store while real servers lose replies, refuse, lock, restart and end its sessions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import CheckConstraint, Column, Integer, String, create_engine, event, insert
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session, declarative_base, sessionmaker

from flask_aegis_machines import Machine, MachineCodeTaken, StoreFailure, User
from flask_aegis_machines.stores.sqlalchemy import MachineMixin, SQLAlchemyMachineStore, SQLAlchemyUserStore
from flask_aegis_machines.testing import make_machine
from tests.servers import GaleraCluster, MariaDBServer, PostgresServer, Proxy, SynchronousPair, wait_until
from tests.support import models
from tests.support.engines import MARIADB, POSTGRESQL, on, stored
from tests.support.hosts import FIRST, SECOND, USER_COLUMNS
from tests.support.models import Account

pytestmark = pytest.mark.clusters

CODE = make_machine().machine_code


@pytest.fixture
def server(request: pytest.FixtureRequest, engine: Engine) -> PostgresServer | MariaDBServer:
    """The server that the engine talks to."""
    name = "postgres" if engine.dialect.name == "postgresql" else "mariadb"
    server: PostgresServer | MariaDBServer = request.getfixturevalue(name)
    return server


@pytest.fixture
def proxy(server: PostgresServer | MariaDBServer) -> Iterator[Proxy]:
    """A proxy before the server."""
    with Proxy("127.0.0.1", server.port) as proxy:
        yield proxy


@pytest.fixture
def proxied(engine: Engine, proxy: Proxy) -> Iterator[Engine]:
    """An engine that goes through the proxy."""
    through = create_engine(engine.url)

    @event.listens_for(through, "do_connect")
    def go_through(dialect: object, record: object, args: object, options: dict[str, Any]) -> None:
        options["port"] = proxy.port

    yield through
    through.dispose()


@contextmanager
def later(seconds: float, action: Callable[[], object]) -> Iterator[None]:
    """Do something a while from now, and not leave before it is done."""
    timer = threading.Timer(seconds, action)
    timer.start()
    try:
        yield
    finally:
        timer.join()


def mentions_the_code(data: bytes) -> bool:
    return CODE.encode() in data


@on(*POSTGRESQL, *MARIADB)
class TestLostConnections:
    """A connection that breaks before, at and after the INSERT, with each driver."""

    def test_a_committed_insert_with_a_lost_reply_succeeds(
        self, engine: Engine, proxied: Engine, proxy: Proxy
    ) -> None:
        """The retry finds its own row, so the first user owns the machine and the second is refused."""
        store = SQLAlchemyMachineStore(sessionmaker(proxied), models.Machine)
        proxy.lose_commit_reply(mentions_the_code)
        store.bind(make_machine(), FIRST)
        assert proxy.fired == 1
        assert stored(engine) == [(CODE, FIRST.key)]
        proxy.lose_commit_reply(mentions_the_code)
        with pytest.raises(MachineCodeTaken):
            store.bind(make_machine(), SECOND)
        assert proxy.fired == 2

    def test_a_request_that_never_arrived_is_sent_again(
        self, engine: Engine, proxied: Engine, proxy: Proxy
    ) -> None:
        """The connection broke before the server saw the INSERT."""
        proxy.drop_before(mentions_the_code, times=2)
        SQLAlchemyMachineStore(sessionmaker(proxied), models.Machine).bind(make_machine(), FIRST)
        assert proxy.fired == 2
        assert stored(engine) == [(CODE, FIRST.key)]

    def test_a_pool_of_dead_connections_is_outlived(
        self, proxied: Engine, proxy: Proxy, engine: Engine
    ) -> None:
        """Every pooled connection is dead at once, for the look-up of the user as for the machine."""
        users = SQLAlchemyUserStore(sessionmaker(proxied), Account, **USER_COLUMNS)
        store = SQLAlchemyMachineStore(sessionmaker(proxied), models.Machine)
        with proxied.connect(), proxied.connect(), proxied.connect():
            pass
        proxy.drop_all()
        assert users.get("1") == FIRST
        assert proxy.fired >= 3
        proxy.drop_all()
        store.bind(make_machine(), FIRST)
        assert stored(engine) == [(CODE, FIRST.key)]

    def test_a_server_that_refuses_briefly_is_waited_for(
        self, proxied: Engine, proxy: Proxy, engine: Engine
    ) -> None:
        """New connections fail for a while, as during a restart."""
        proxy.refuse(times=3)
        SQLAlchemyMachineStore(sessionmaker(proxied), models.Machine, deadline=60).bind(make_machine(), FIRST)
        assert proxy.fired == 3
        assert stored(engine) == [(CODE, FIRST.key)]

    def test_a_server_that_refuses_for_longer_is_given_up(self, proxied: Engine, proxy: Proxy) -> None:
        """No try ever connected, so the failure does not call the outcome unknown."""
        proxy.refuse()
        store = SQLAlchemyMachineStore(sessionmaker(proxied), models.Machine, deadline=0.5)
        began = time.monotonic()
        with pytest.raises(StoreFailure, match=r"gave up at try \d+: "):
            store.bind(make_machine(), FIRST)
        assert time.monotonic() - began >= 0.5

    def test_ended_sessions_are_replaced(
        self, engine: Engine, sessions: sessionmaker[Session], server: PostgresServer | MariaDBServer
    ) -> None:
        """An administrator ends every session, again and again, while machines are bound."""
        store = SQLAlchemyMachineStore(sessions, models.Machine)
        codes = [f"{number:032}" for number in range(1, 31)]
        ended = 0
        for code in codes:
            if int(code) % 3 == 0:
                ended += server.terminate_backends()
            store.bind(make_machine(code), FIRST)
        assert sorted(code for code, _ in stored(engine)) == codes
        assert ended >= 10

    @pytest.mark.clusters  # crash recovery syncs every file of the databases that tests have made
    def test_a_killed_server_comes_back(
        self, engine: Engine, sessions: sessionmaker[Session], server: PostgresServer | MariaDBServer
    ) -> None:
        """What was acknowledged before a kill -9 is there after it, and a bind in between succeeds."""
        store = SQLAlchemyMachineStore(sessions, models.Machine, deadline=60)
        if isinstance(server, PostgresServer):
            server.execute("CHECKPOINT")  # else it replays what all tests before have written
        store.bind(make_machine(models.OTHER), SECOND)
        server.kill()
        with later(0.2, server.start):
            store.bind(make_machine(), FIRST)
        assert sorted(stored(engine)) == [(models.OTHER, SECOND.key), (CODE, FIRST.key)]


@on(*POSTGRESQL, *MARIADB)
class TestLocks:
    """Another transaction has inserted the same code, and has not ended yet."""

    @pytest.fixture
    def impatient(self, engine: Engine) -> Iterator[Engine]:
        """An engine whose server gives up waiting for a lock after a second (55P03, 1205)."""
        settings = {"options": "-c lock_timeout=200ms"}
        if engine.dialect.name != "postgresql":
            settings = {"init_command": "SET SESSION innodb_lock_wait_timeout = 1"}
        impatient = create_engine(engine.url, connect_args=settings)
        yield impatient
        impatient.dispose()

    @pytest.mark.parametrize("end", ["rollback", "commit"])
    def test_the_other_transaction_is_waited_for(self, engine: Engine, impatient: Engine, end: str) -> None:
        """Its end decides: rolled back, the code is free; committed, it is taken."""
        store = SQLAlchemyMachineStore(sessionmaker(impatient), models.Machine, deadline=10)
        facts = {name: "x" for name in vars(make_machine()) if name != "registered_at"}
        row = {**facts, "machine_code": CODE, "attempt": "0" * 32, "user_id": SECOND.key}
        with engine.connect() as other:
            transaction = other.begin()
            other.execute(insert(models.Machine).values(registered_at=models.NOW, **row))
            with later(1.5, getattr(transaction, end)):
                outcome = attempt(store, FIRST)
        assert outcome == (None if end == "rollback" else MachineCodeTaken)
        assert stored(engine) == [(CODE, (FIRST if end == "rollback" else SECOND).key)]


def attempt(store: SQLAlchemyMachineStore, user: User, machine: Machine | None = None) -> type | None:
    """Bind, and return the class of what was raised."""
    try:
        store.bind(machine or make_machine(), user)
    except MachineCodeTaken as taken:
        return type(taken)
    return None


@on(*POSTGRESQL, *MARIADB)
class TestPermanentFailures:
    """Rows that the table of the host refuses, which no retry can change."""

    @pytest.mark.parametrize(
        ("columns", "codes"),
        [
            (lambda: {"source": Column(String(8), nullable=False)}, "(23502|1364|1048), column source"),
            (lambda: {"machine_cpu": Column(String(5))}, "22001|1406"),
            (lambda: {"user_id": Column(Integer, CheckConstraint("user_id > 100"))}, "23514|4025"),
        ],
        ids=["NOT NULL", "too long", "CHECK"],
    )
    def test_a_row_that_the_table_refuses(
        self, engine: Engine, columns: Callable[[], dict[str, Any]], codes: str
    ) -> None:
        """It fails at the first try, with the code of the server and no value."""
        base: Any = declarative_base()
        body = {"id": Column(Integer, primary_key=True), "user_id": Column(Integer), **columns()}
        strict = type("Strict", (MachineMixin, base), {"__tablename__": "strict", **body})
        base.metadata.create_all(engine)
        # values= says that the host fills other columns, so that mount accepts them.
        store = SQLAlchemyMachineStore(sessionmaker(engine), strict, values=lambda machine, user: {})
        with pytest.raises(StoreFailure, match=f"gave up at try 1: .*code ({codes})") as failure:
            store.bind(make_machine(), FIRST)
        assert CODE not in str(failure.value)
        assert make_machine().machine_cpu not in str(failure.value)
        assert store.list_for(FIRST) == []


@on(*POSTGRESQL)
def test_a_server_that_only_reads_is_waited_for(
    engine: Engine, sessions: sessionmaker[Session], postgres: PostgresServer
) -> None:
    """An old primary refuses to write (25006): its connections are given up, and a writer is found."""

    def set_read_only(value: str) -> None:
        postgres.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        postgres.execute("SELECT pg_reload_conf()")

    store = SQLAlchemyMachineStore(sessions, models.Machine, deadline=10)
    store.owner_of(CODE)
    set_read_only("on")
    try:
        mode = "SHOW default_transaction_read_only"
        wait_until(lambda: postgres.answer(mode) == [("on",)], 10, "read-only mode")
        with later(1, lambda: set_read_only("off")):
            store.bind(make_machine(), FIRST)
    finally:
        set_read_only("off")
    assert stored(engine) == [(CODE, FIRST.key)]


@on("postgresql-pair")
def test_a_row_that_no_standby_has_is_not_acknowledged(engine: Engine, pair: SynchronousPair) -> None:
    """Both users get their answers once the standby has the row, which a failover would lose before."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query ~* '{}'"

    def waits_for_standby(verb: str, sessions: int) -> None:
        counted = [(sessions,)]
        wait_until(lambda: pair.primary.answer(waiting.format(verb)) == counted, 20, f"{verb} to wait")

    outcomes: dict[object, type | None] = {}

    def bind(user: User) -> None:
        store = SQLAlchemyMachineStore(sessionmaker(engine), models.Machine)
        outcomes[user.key] = attempt(store, user)

    threads = [threading.Thread(target=bind, args=[user]) for user in (FIRST, SECOND)]
    pair.pause_standby()
    try:
        threads[0].start()
        waits_for_standby("^COMMIT", 1)
        pair.primary.terminate_backends()
        waits_for_standby("^COMMIT", 1)
        threads[1].start()
        waits_for_standby("^COMMIT", 2)
        assert stored(engine) == [(CODE, FIRST.key)]
        assert outcomes == {}
    finally:
        pair.resume_standby()
        for thread in threads:
            thread.join(30)
    assert outcomes == {FIRST.key: None, SECOND.key: MachineCodeTaken}
    standby = create_engine(pair.standby.url("psycopg", str(engine.url.database)))
    # Acknowledged means flushed on the standby, which shows the row when it has replayed it.
    wait_until(lambda: stored(standby) == [(CODE, FIRST.key)], 10, "the standby to show the row")
    standby.dispose()


@on("galera")
def test_a_node_outside_of_the_primary_component_is_given_up(engine: Engine, galera: GaleraCluster) -> None:
    """Without a quorum a node answers, but not for tables (1047): the failure says so, and passes."""
    isolated = create_engine(galera.nodes[0].url("pymysql", str(engine.url.database)))
    store = SQLAlchemyMachineStore(sessionmaker(isolated), models.Machine, deadline=1)
    for node in galera.nodes[1:]:
        node.pause()
    try:
        wait_until(lambda: not galera.nodes[0].ready(), 30, "the loss of the quorum")
        with pytest.raises(StoreFailure, match=r"gave up at try \d+: .*code 1047"):
            store.bind(make_machine(), FIRST)
    finally:
        for node in galera.nodes[1:]:
            node.resume()
        galera.wait_synced()
    store.bind(make_machine(), FIRST)
    assert stored(engine) == [(CODE, FIRST.key)]
    isolated.dispose()
