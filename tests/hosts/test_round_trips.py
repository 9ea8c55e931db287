"""How often a request crosses the network to its database, and what a lost reply costs."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import create_engine
from sqlalchemy.engine import Engine

from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore
from tests.faults.app import build
from tests.faults.history import violations
from tests.faults.serving import bound
from tests.servers import MariaDBServer, PostgresServer, Proxy, require_driver
from tests.support.contention import contend, named_user, register

POSTGRESQL = ["psycopg", "psycopg2"]
MARIADB = [pytest.param(driver, marks=pytest.mark.clusters) for driver in ("pymysql", "mysqldb")]


@pytest.fixture
def server(request: pytest.FixtureRequest, driver: str) -> PostgresServer | MariaDBServer:
    """The server of a driver, with an empty database that is named after it."""
    require_driver(driver)
    server = request.getfixturevalue("postgres" if driver in POSTGRESQL else "mariadb")
    assert isinstance(server, PostgresServer | MariaDBServer)
    server.execute("DROP DATABASE IF EXISTS round_trips")
    server.create_database("round_trips")
    return server


@pytest.fixture
def proxy(server: PostgresServer | MariaDBServer) -> Iterator[Proxy]:
    """A proxy before the server."""
    with Proxy("127.0.0.1", server.port) as proxy:
        yield proxy


@pytest.fixture
def make_engine(
    server: PostgresServer | MariaDBServer, proxy: Proxy, driver: str
) -> Iterator[Callable[..., Engine]]:
    """Makes an engine that goes through the proxy."""
    made: list[Engine] = []

    def make(**options: Any) -> Engine:
        url = server.url(driver, "round_trips").replace(f":{server.port}", f":{proxy.port}")
        made.append(create_engine(url, **options))
        return made[-1]

    yield make
    for engine in made:
        engine.dispose()


def most_round_trips(app: Flask, proxy: Proxy) -> tuple[int, int]:
    """Return the most round trips of a registration, and of a refusal, once psycopg has prepared both."""
    bindings, refusals = [], []
    for number in range(20):
        code = f"{number + 1:032}"
        for user, outcome, taken in ((1, "10000", bindings), (2, "10004", refusals)):
            before = sum(proxy.round_trips)
            assert register(app, user, code).outcome == outcome
            taken.append(sum(proxy.round_trips) - before)
    return max(bindings[10:]), max(refusals[10:])


@pytest.mark.parametrize("driver", [*POSTGRESQL, *MARIADB])
def test_a_registration_takes_four_round_trips(make_engine: Callable[..., Engine], proxy: Proxy) -> None:
    """A refusal takes five at most."""
    bound_in, refused_in = most_round_trips(build(make_engine(pool_size=1), named_user), proxy)
    assert bound_in <= 4
    assert refused_in <= 5


@pytest.mark.parametrize("driver", POSTGRESQL)
def test_an_autocommit_engine_takes_two_round_trips(make_engine: Callable[..., Engine], proxy: Proxy) -> None:
    """A refusal takes three at most."""
    app = build(make_engine(pool_size=1, isolation_level="AUTOCOMMIT"), named_user)
    bound_in, refused_in = most_round_trips(app, proxy)
    assert bound_in <= 2
    assert refused_in <= 3


@pytest.mark.parametrize("driver", POSTGRESQL)
@pytest.mark.parametrize(
    ("hooks", "expected"),
    [
        ({"values": lambda machine, user: {}}, (6, 7)),
        ({"within": lambda connection, machine, user: None}, (9, 9)),
    ],
    ids=["values", "within"],
)
def test_hooks_cost_the_round_trips_that_are_documented(
    make_engine: Callable[..., Engine], proxy: Proxy, hooks: dict[str, Any], expected: tuple[int, int]
) -> None:
    """The look-up has its own transaction, and a hook is run where a rollback undoes what it did."""
    store = partial(SQLAlchemyMachineStore, **hooks)
    app = build(make_engine(pool_size=1), named_user, store)
    assert most_round_trips(app, proxy) == expected


@pytest.mark.clusters  # for its time
@pytest.mark.parametrize("driver", [*POSTGRESQL, *MARIADB])
@pytest.mark.parametrize(
    "is_lost",
    [lambda sent: random.random() < 0.1, lambda sent: b"ROLLBACK" in sent],
    ids=["anywhere", "at a release"],
)
def test_a_lost_reply_costs_no_connection_of_the_pool(
    server: PostgresServer | MariaDBServer,
    make_engine: Callable[..., Engine],
    proxy: Proxy,
    driver: str,
    is_lost: Callable[[bytes], bool],
) -> None:
    """When the losses are over every connection is back, the app answers, and no answer was wrong."""
    engine = make_engine(pool_size=4, max_overflow=4, pool_timeout=5)
    app = build(engine, named_user)
    began = time.monotonic()
    proxy.lose_commit_reply(is_lost, times=None)
    history = contend(app, seconds=5)
    proxy.forward()
    assert proxy.fired > 0
    assert engine.pool.checkedout() == 0
    assert register(app, 1, f"{'afterwards':-<32}").outcome == "10000"
    rows = bound(server.url(driver, "round_trips"))
    outage = (began, time.monotonic())
    assert violations(history, [row for row in rows if row[0].startswith("contended")], [outage]) == []
