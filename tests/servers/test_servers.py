"""Show that each private server, and each fault it can be given, does what it says."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from . import postgres as postgres_module
from .availability import (
    REQUIRE_VARIABLE,
    require,
    require_driver,
    require_galera,
    require_mariadb,
    require_postgres,
)
from .mariadb import GaleraCluster, MariaDBServer
from .postgres import PostgresServer, SynchronousPair
from .process import ServerError, new_directory, processes_in, run, wait_until
from .proxy import Proxy
from .server import Server

pytestmark = pytest.mark.clusters  # of use to those who change the servers, and slow

COUNT = "SELECT count(*) FROM machine"
SERVER_KINDS = ["postgres", "mariadb"]
DRIVERS = {"psycopg": "postgres", "psycopg2": "postgres", "pymysql": "mariadb", "mysqldb": "mariadb"}
every_kind = pytest.mark.parametrize("server", SERVER_KINDS, indirect=True)
every_driver = pytest.mark.parametrize(
    ("server", "driver"),
    [pytest.param(kind, driver, id=driver) for driver, kind in DRIVERS.items()],
    indirect=["server"],
)


def _create_table(server: Server) -> None:
    server.execute("DROP TABLE IF EXISTS machine")
    server.execute("CREATE TABLE machine (code VARCHAR(32) PRIMARY KEY)")


def _insert(code: str) -> str:
    return f"INSERT INTO machine VALUES ('{code}')"


def _codes(server: Server) -> list[str]:
    return [code for (code,) in server.execute("SELECT code FROM machine ORDER BY code")]


@contextmanager
def _connection(url: str) -> Iterator[Connection]:
    with create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
        yield connection


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    require_postgres()
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDBServer]:
    require_mariadb()
    with MariaDBServer() as server:
        yield server


@pytest.fixture(scope="module")
def pair() -> Iterator[SynchronousPair]:
    require_postgres()
    with SynchronousPair() as servers:
        yield servers


@pytest.fixture(scope="module")
def galera() -> Iterator[GaleraCluster]:
    require_galera()
    with GaleraCluster() as cluster:
        yield cluster


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Server:
    """Give the kind of server the test is parametrized with, with an empty table `machine`."""
    server: Server = request.getfixturevalue(request.param)
    _create_table(server)
    return server


def _url(server: Server, driver: str) -> str:
    require_driver(driver)
    assert isinstance(server, PostgresServer | MariaDBServer)
    return server.url(driver)


@every_driver
def test_every_driver_reaches_its_server(server: Server, driver: str) -> None:
    """A row written through the URL of any driver is there."""
    with _connection(_url(server, driver)) as connection:
        connection.exec_driver_sql(_insert(driver))
    assert _codes(server) == [driver]


@every_kind
def test_acknowledged_row_survives_kill_and_restart(server: Server) -> None:
    """After a kill -9 nothing runs, and after the restart the row is there."""
    server.execute(_insert("kept"))
    server.kill()
    assert not server.running
    assert processes_in(server.directory) == []
    with pytest.raises(OperationalError):
        server.execute(COUNT)
    server.start()
    assert _codes(server) == ["kept"]


@every_kind
def test_acknowledged_row_survives_an_orderly_stop(server: Server) -> None:
    """A stopped server starts again with its data."""
    server.execute(_insert("kept"))
    server.stop()
    assert not server.running
    server.start()
    assert _codes(server) == ["kept"]


@every_kind
def test_paused_server_answers_nobody_until_resumed(server: Server) -> None:
    """A new connection to a paused server runs into the URL's time limit."""
    server.pause()
    began = time.monotonic()
    assert server.answer("SELECT 1") is None
    assert time.monotonic() - began > 1
    server.resume()
    assert server.answer("SELECT 1") == [(1,)]


@every_driver
def test_terminated_backends_lose_their_connection(server: Server, driver: str) -> None:
    """A session that was open fails at its next statement, and the server goes on."""
    with _connection(_url(server, driver)) as connection:
        connection.exec_driver_sql("SELECT 1")
        assert server.terminate_backends() == 1
        with pytest.raises(OperationalError) as caught:
            connection.exec_driver_sql("SELECT 1")
        assert caught.value.connection_invalidated
    assert server.answer("SELECT 1") == [(1,)]


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_promotion_keeps_the_acknowledged_row_and_can_be_repeated(pair: SynchronousPair, driver: str) -> None:
    """Two fail-overs, there and back, lose no row and do not change the URL."""
    require_driver(driver)
    url = pair.url(driver)
    _create_table(pair.primary)
    pair.primary.execute(_insert("1"))
    for code in ("2", "3"):
        pair.promote()
        with _connection(url) as connection:
            connection.exec_driver_sql(_insert(code))
        pair.rejoin()
    assert pair.url(driver) == url
    assert _codes(pair.primary) == ["1", "2", "3"]
    # Acknowledged means flushed on the standby, which shows the row when it has replayed it, soon after.
    wait_until(lambda: _codes(pair.standby) == ["1", "2", "3"], 10, "the standby to show the rows")


def test_commits_wait_for_a_paused_standby(pair: SynchronousPair) -> None:
    """While the standby is paused a row is neither acknowledged nor visible; afterwards it is both."""
    _create_table(pair.primary)
    command = [sys.executable, "-c", _INSERT_PROGRAM, pair.primary.url("psycopg2"), _insert("waiting")]
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    pair.pause_standby()
    with subprocess.Popen(command) as client:
        try:
            wait_until(lambda: pair.primary.execute(waiting) == [(1,)], 60, "the COMMIT to hang")
            assert client.poll() is None
            assert _codes(pair.primary) == []
        finally:
            pair.resume_standby()  # the client ends only then
        assert client.wait(60) == 0
    assert _codes(pair.primary) == ["waiting"]


_INSERT_PROGRAM = """
import sys
from sqlalchemy import create_engine
with create_engine(sys.argv[1], isolation_level="AUTOCOMMIT").connect() as connection:
    connection.exec_driver_sql(sys.argv[2])
"""


def test_killed_galera_node_catches_up(galera: GaleraCluster) -> None:
    """The others go on without a killed node, and it has their rows when it is back."""
    first, second, third = galera.nodes
    _create_table(first)
    first.execute(_insert("before"))
    third.kill()
    second.execute(_insert("meanwhile"))
    third.start()
    galera.wait_synced()
    third.execute(_insert("after"))
    assert _codes(third) == ["after", "before", "meanwhile"]
    assert first.status("wsrep_cluster_size") == "3"


def test_founder_of_the_galera_cluster_joins_it_again(galera: GaleraCluster) -> None:
    """The node that started the cluster does not start another one when it comes back."""
    first, second, _ = galera.nodes
    _create_table(second)
    first.kill()
    second.execute(_insert("meanwhile"))
    first.start()
    galera.wait_synced()
    assert _codes(first) == ["meanwhile"]


def test_stopped_galera_node_catches_up(galera: GaleraCluster) -> None:
    """A node that was shut down in order fetches what it misses."""
    first, second, _ = galera.nodes
    _create_table(first)
    second.stop()
    first.execute(_insert("meanwhile"))
    second.start()
    galera.wait_synced()
    assert _codes(second) == ["meanwhile"]


def test_paused_galera_node_is_left_behind_and_catches_up(galera: GaleraCluster) -> None:
    """A node paused for longer than the suspect time-out is expelled and returns when resumed."""
    first, second, third = galera.nodes
    _create_table(first)
    third.pause()
    try:
        first.execute(_insert("meanwhile"))
        wait_until(lambda: second.status("wsrep_cluster_size") == "2", 20, "the node to be expelled")
    finally:
        third.resume()
    galera.wait_synced()
    assert _codes(third) == ["meanwhile"]


@contextmanager
def _proxied(server: Server, driver: str) -> Iterator[tuple[Proxy, str]]:
    url = _url(server, driver)
    assert str(server.port) in url
    with Proxy("127.0.0.1", server.port) as proxy:
        yield proxy, url.replace(str(server.port), str(proxy.port))


@every_driver
def test_proxy_loses_the_reply_though_the_row_is_there(server: Server, driver: str) -> None:
    """The client gets an error, once, for an INSERT that the server has executed."""
    with _proxied(server, driver) as (proxy, url):
        proxy.lose_commit_reply(lambda data: b"INSERT INTO machine" in data)
        with _connection(url) as connection:
            with pytest.raises(OperationalError) as caught:
                connection.exec_driver_sql(_insert("unheard"))
            assert caught.value.connection_invalidated
        assert proxy.fired == 1
        assert _codes(server) == ["unheard"]
        with _connection(url) as connection:
            connection.exec_driver_sql(_insert("heard"))
        assert proxy.fired == 1
        assert _codes(server) == ["heard", "unheard"]


@every_driver
def test_proxy_loses_the_reply_to_a_commit(server: Server, driver: str) -> None:
    """The client's COMMIT fails in a transaction that the server has committed."""
    with _proxied(server, driver) as (proxy, url):
        engine = create_engine(url, poolclass=NullPool, future=True)
        with engine.connect() as connection:
            connection.exec_driver_sql(_insert("unheard"))
            proxy.lose_commit_reply(lambda data: b"COMMIT" in data.upper())
            with pytest.raises(OperationalError):
                connection.commit()
        assert proxy.fired == 1
        assert _codes(server) == ["unheard"]


@every_driver
def test_proxy_drops_a_request_before_the_server_sees_it(server: Server, driver: str) -> None:
    """The client gets an error for an INSERT that was never executed, as often as asked for."""
    with _proxied(server, driver) as (proxy, url):
        proxy.drop_before(lambda data: b"INSERT INTO machine" in data, times=2)
        for _ in range(2):
            with _connection(url) as connection, pytest.raises(OperationalError):
                connection.exec_driver_sql(_insert("lost"))
        assert proxy.fired == 2
        assert _codes(server) == []
        with _connection(url) as connection:
            connection.exec_driver_sql(_insert("stored"))
    assert _codes(server) == ["stored"]


@pytest.mark.parametrize("server", ["postgres"], indirect=True)
def test_proxy_finds_a_value_in_a_prepared_statement(server: Server) -> None:
    """A machine code marks the execution of a statement whose text was sent long before."""
    with _proxied(server, "psycopg") as (proxy, url), _connection(url) as connection:
        statement = "INSERT INTO machine VALUES (%s)"
        for number in range(8):
            connection.exec_driver_sql(statement, (f"code{number}",))
        seen: list[bytes] = []

        def marked(data: bytes) -> bool:
            seen.append(data)
            return b"marked" in data

        proxy.lose_commit_reply(marked)
        with pytest.raises(OperationalError):
            connection.exec_driver_sql(statement, ("marked",))
        assert not any(b"INSERT" in data for data in seen)
    assert "marked" in _codes(server)


@every_driver
def test_proxy_counts_the_round_trips_of_each_connection(server: Server, driver: str) -> None:
    """Each statement is one, on the connection that it was sent on."""
    with _proxied(server, driver) as (proxy, url), _connection(url) as first, _connection(url) as second:
        before = proxy.round_trips
        first.exec_driver_sql(COUNT)
        for _ in range(3):
            second.exec_driver_sql(COUNT)
        after = proxy.round_trips
        assert [now - then for now, then in zip(after, before, strict=True)] == [1, 3]


@every_driver
def test_proxy_delays_each_direction(server: Server, driver: str) -> None:
    """A statement takes at least twice the delay."""
    with _proxied(server, driver) as (proxy, url), _connection(url) as connection:
        connection.exec_driver_sql(COUNT)
        proxy.delay = 0.05
        began = time.monotonic()
        connection.exec_driver_sql(COUNT)
        assert time.monotonic() - began >= 0.1


@every_kind
def test_proxy_cuts_all_connections_and_refuses_new_ones(server: Server) -> None:
    """Open connections die, new ones fail as often as asked for, then all is well again."""
    with _proxied(server, "psycopg" if isinstance(server, PostgresServer) else "pymysql") as (proxy, url):
        with _connection(url) as connection:
            proxy.drop_all()
            with pytest.raises(OperationalError):
                connection.exec_driver_sql(COUNT)
        proxy.refuse(times=None)
        for _ in range(2):
            with pytest.raises(OperationalError), _connection(url):
                pass
        assert proxy.fired >= 3
        proxy.forward()
        with _connection(url) as connection:
            assert connection.exec_driver_sql(COUNT).scalar() == 0


def test_copied_postgres_runs() -> None:
    """The copy that is made where the servers' account may not execute the wheel's programs is complete."""
    require_postgres()
    installed = postgres_module.installed_postgres()
    assert installed is not None
    program = postgres_module._copy(installed) / "bin" / "postgres"
    assert b"PostgreSQL" in subprocess.run([program, "--version"], capture_output=True, check=True).stdout


def test_server_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of a failed start holds the server's own message, and nothing is left behind."""
    require_postgres()
    server = PostgresServer()
    monkeypatch.setattr(postgres_module, "_SETTINGS", {"no_such_setting": "1"})
    with pytest.raises(ServerError, match="no_such_setting"), server:
        pass
    assert not server.directory.exists()


def test_server_that_dies_early_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that ends before it answers is reported at once, with its own message."""
    require_postgres()
    server = PostgresServer()
    server._create_data()
    monkeypatch.setattr(postgres_module, "_SETTINGS", {"no_such_setting": "1"})
    with pytest.raises(ServerError, match="no_such_setting"):
        server.start()
    server.close()


def test_running_server_is_not_started_twice(postgres: PostgresServer) -> None:
    """A second start would leave the first process to nobody."""
    with pytest.raises(ServerError, match="running already"):
        postgres.start()
    assert postgres.answer("SELECT 1") == [(1,)]


def test_tool_that_fails_or_hangs_is_reported() -> None:
    """The error holds what the tool has printed, and a hanging tool is ended."""
    directory = new_directory("tool")
    log = directory / "log"
    with pytest.raises(ServerError, match="status 3\nspoken"):
        run(["sh", "-c", "echo spoken; exit 3"], directory=directory, log=log)
    with pytest.raises(ServerError, match=r"still running after 0\.2 s"):
        run(["sleep", "60"], directory=directory, log=log, timeout=0.2)
    assert processes_in(directory) == []


def test_waiting_in_vain_is_reported(tmp_path: Path) -> None:
    """The error says what was waited for."""
    with pytest.raises(ServerError, match="in vain for the moon"):
        wait_until(lambda: False, 0.05, "the moon", tmp_path / "no-log")


@pytest.fixture
def ignored_interrupt() -> Iterator[None]:
    """Let children inherit an ignored SIGINT, as those of a background job of a shell script do."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.usefixtures("ignored_interrupt")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_tests(number: signal.Signals) -> None:
    """However the test process ends, its servers and their directories vanish."""
    require_postgres()
    command = [sys.executable, "-c", _HOLDING_PROGRAM, str(Path(__file__).parents[2])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as tests:
        assert tests.stdout is not None
        directory = Path(tests.stdout.readline().strip())
        assert processes_in(directory) != []
        tests.send_signal(number)
        tests.wait(10)
    wait_until(lambda: not processes_in(directory) and not directory.parent.exists(), 10, "the end")


# Python installs its handler only where SIGINT was not inherited as ignored.
_HOLDING_PROGRAM = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, sys.argv[1])
from tests.servers import PostgresServer
with PostgresServer() as server:
    print(server.directory, flush=True)
    time.sleep(60)
"""


def test_missing_server_skips_or_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing server skips with its reason, and fails where servers are obligatory."""
    monkeypatch.delenv(REQUIRE_VARIABLE, raising=False)
    require("needs nothing", True)
    with pytest.raises(pytest.skip.Exception, match="apt install something"):
        require("needs something: apt install something", False)
    monkeypatch.setenv(REQUIRE_VARIABLE, "1")
    require("needs nothing", True)
    with pytest.raises(pytest.fail.Exception, match="apt install something"):
        require("needs something: apt install something", False)
