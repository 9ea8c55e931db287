"""A history over HTTP while servers are killed: one owner per code, and every 200 is there."""

from __future__ import annotations

import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.servers import (
    GaleraCluster,
    MariaDBServer,
    PostgresServer,
    Proxy,
    SynchronousPair,
    require_driver,
    require_galera,
    require_mariadb,
    require_postgres,
    wait_until,
)

from .history import violations
from .load import Load, outcomes
from .serving import Gunicorn, bound, require_whole_pools

pytestmark = pytest.mark.faults

OPERATIONS = 6000  # in each of the seven runs
FAULTS = 10
PAUSE = 1.5
TIMEOUT = 600  # seconds, for a machine that does other things
Fault = Callable[[], object]


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    """Ends what a test started, last things first."""
    with ExitStack() as stack:
        yield stack


def asks_for_a_shared_code(data: bytes) -> bool:
    return b"shared-" in data


def ends_a_transaction(data: bytes) -> bool:
    """Match a ROLLBACK, which the pool sends to MariaDB whenever a connection is given back, and a COMMIT."""
    return b"ROLLBACK" in data or b"COMMIT" in data


def is_unlucky(data: bytes) -> bool:
    return random.random() < 0.1


def torment(
    name: str,
    servers: list[Gunicorn],
    faults: list[Fault],
    databases: list[str],
    heal: Fault,
    closing: ExitStack,
) -> None:
    """Let clients contend while the faults come one after another; then check each pool and the history."""
    load = Load(servers)
    closing.callback(load.stop)
    outages: list[tuple[float, float]] = []
    began = time.monotonic()
    while len(outages) < max(FAULTS, len(faults)) or load.operations < OPERATIONS:
        start = time.monotonic()
        faults[len(outages) % len(faults)]()
        # What a fault did may take a while to be noticed and mended, such as a new node's first connection.
        outages.append((start, time.monotonic() + PAUSE))
        time.sleep(PAUSE)
        assert time.monotonic() - began < TIMEOUT, f"{load.operations} operations, {len(outages)} faults"
    heal()
    history = load.finish()
    for server in servers:
        require_whole_pools(server)
    found = []
    for database in databases:
        found += violations(history, bound(database), outages)
    longest = max(end - start for start, end in outages)
    print(
        f"\n{name}: {len(history)} operations ({outcomes(history)}), {len(outages)} faults, "
        f"the longest {longest:.1f} s, {len(found)} violations"
    )
    assert found == []
    assert len(history) >= OPERATIONS


def test_sqlite(tmp_path: Path, closing: ExitStack) -> None:
    """Workers are killed, and another program locks the file."""
    path = tmp_path / "host.db"
    gunicorn = closing.enter_context(Gunicorn(f"sqlite:///{path}"))

    def lock() -> None:
        connection = sqlite3.connect(path, timeout=10, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(0.7)
        connection.execute("ROLLBACK")
        connection.close()

    torment("SQLite", [gunicorn], [gunicorn.kill_worker, lock], [f"sqlite:///{path}"], lambda: None, closing)


@pytest.mark.parametrize(
    ("driver", "factory"),
    [
        ("psycopg", "create_app"),
        ("psycopg2", "create_autocommit_app"),
        ("pymysql", "create_app"),
        ("mysqldb", "create_app"),
    ],
)
def test_one_server(driver: str, factory: str, closing: ExitStack) -> None:
    """A server is killed and restarted, ends sessions, and its replies are lost, which all happens."""
    require_driver(driver)
    server = closing.enter_context(_server(driver))
    proxy = closing.enter_context(Proxy("127.0.0.1", server.port))
    database = server.url(driver).replace(f":{server.port}", f":{proxy.port}")
    gunicorn = closing.enter_context(Gunicorn(database, f"tests.faults.app:{factory}()"))

    def kill_and_start() -> None:
        server.kill()
        server.start()

    matched: Counter[str] = Counter()

    def counting(fault: str, matches: Callable[[bytes], bool]) -> Callable[[bytes], bool]:
        def count(data: bytes) -> bool:
            is_match = matches(data)
            matched[fault] += is_match
            return is_match

        return count

    faults: list[Fault] = [
        lambda: proxy.lose_commit_reply(counting("lost insert", asks_for_a_shared_code), times=20),
        server.terminate_backends,
        gunicorn.kill_worker,
        lambda: proxy.lose_commit_reply(counting("lost end", ends_a_transaction), times=20),
        kill_and_start,
        lambda: proxy.drop_before(counting("dropped", asks_for_a_shared_code), times=20),
        lambda: proxy.lose_commit_reply(counting("unlucky", is_unlucky), times=40),
        proxy.drop_all,
    ]
    torment(f"{driver}, {factory}", [gunicorn], faults, [server.url(driver)], proxy.forward, closing)
    fired = {"lost insert", "dropped", "unlucky"}
    if factory != "create_autocommit_app":  # which ends no transactions
        fired.add("lost end")
    assert set(+matched) >= fired


def _server(driver: str) -> PostgresServer | MariaDBServer:
    if driver.startswith("psycopg"):
        require_postgres()
        return PostgresServer()
    require_mariadb()
    return MariaDBServer()


def test_synchronous_pair(closing: ExitStack) -> None:
    """The standby is paused, sessions that wait are ended, and libpq finds it when it takes over."""
    require_postgres()
    pair = closing.enter_context(SynchronousPair())
    assert "target_session_attrs=read-write" in pair.url()
    gunicorn = closing.enter_context(Gunicorn(pair.url()))

    def end_waiting_sessions() -> None:
        pair.pause_standby()
        time.sleep(1)
        pair.primary.terminate_backends()
        time.sleep(0.5)
        pair.resume_standby()

    lost: set[tuple[str, int]] = set()

    def lose_what_no_standby_has() -> None:
        # A paused standby finds in its socket what it missed; one that was killed never gets it.
        pair.standby.kill()
        time.sleep(1)
        pair.primary.terminate_backends()
        time.sleep(0.5)
        shown = set(bound(pair.primary.url()))
        pair.primary.kill()
        pair.standby.start()
        lost.update(shown - set(bound(pair.standby.url())))
        pair.promote()
        pair.rejoin()

    def fail_over() -> None:
        pair.promote()
        pair.rejoin()

    faults: list[Fault] = [end_waiting_sessions, fail_over, gunicorn.kill_worker, lose_what_no_standby_has]
    torment("Synchronous pair", [gunicorn], faults, [pair.url()], lambda: None, closing)
    assert lost


def test_galera(closing: ExitStack) -> None:
    """Every node takes writes, while nodes are killed, paused and started again."""
    require_galera()
    cluster = closing.enter_context(GaleraCluster())
    servers = [closing.enter_context(Gunicorn(node.url())) for node in cluster.nodes]

    def restart() -> None:
        cluster.nodes[2].kill()
        time.sleep(1)
        cluster.nodes[2].start()
        cluster.wait_synced()

    def pause() -> None:
        cluster.nodes[1].pause()
        time.sleep(1)
        cluster.nodes[1].resume()
        cluster.wait_synced()

    databases = [node.url() for node in cluster.nodes]
    faults: list[Fault] = [pause, servers[0].kill_worker, restart]
    torment("Galera", servers, faults, databases, cluster.wait_synced, closing)


def test_a_store_that_looks_and_then_inserts_is_caught(closing: ExitStack) -> None:
    """The checker finds two owners where no key decides, without any fault."""
    require_postgres()
    server = closing.enter_context(PostgresServer())
    app = "tests.faults.broken_app:create_app()"
    gunicorn = closing.enter_context(Gunicorn(server.url(), app))
    load = Load([gunicorn])
    closing.callback(load.stop)
    wait_until(lambda: load.operations > 500, 60, "operations")
    history = load.finish()
    found = violations(history, bound(server.url()), [])
    print(f"\nlook, then insert: {len(history)} operations ({outcomes(history)}), {len(found)} violations")
    assert any("was acknowledged twice" in violation for violation in found)
    assert any("rows" in violation for violation in found)
