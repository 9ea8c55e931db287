"""Engines of every kind for the tests of the stores, each on an empty database."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import create_engine, event, select
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session

from tests.servers import GaleraCluster, PostgresServer, SynchronousPair, require_driver

from .live_databases import PSYCOPG, make_database, mark_slow, next_name
from .models import Machine

__all__ = ["DRIVERS", "ENGINES", "MARIADB", "POSTGRES", "POSTGRESQL", "on", "stored"]

MakeEngine = Callable[[pytest.FixtureRequest], Engine]


def _of_driver(driver: str, **options: Any) -> MakeEngine:
    return lambda request: make_database(request, driver).engine(**options)


def _postgresql(driver: str, **options: Any) -> MakeEngine:
    """Return a function that makes engines on one database, which each test finds empty."""

    def make(request: pytest.FixtureRequest) -> Engine:
        require_driver(driver)
        server: PostgresServer = request.getfixturevalue("postgres")
        server.empty_database("of_engines")
        return create_engine(server.url(driver, "of_engines"), **options)

    return make


def _sqlite_wal(request: pytest.FixtureRequest) -> Engine:
    engine = make_database(request, "sqlite").engine()
    event.listen(engine, "connect", lambda connection, record: connection.execute("PRAGMA journal_mode=WAL"))
    return engine


def _sqlite_with(begin: str) -> MakeEngine:
    """Return a function that makes engines with one of SQLAlchemy's recipes for transactions on SQLite."""

    def make(request: pytest.FixtureRequest) -> Engine:
        engine = _sqlite_wal(request)

        @event.listens_for(engine, "connect")
        def disable_transactions_of_driver(connection: sqlite3.Connection, record: object) -> None:
            connection.isolation_level = None

        @event.listens_for(engine, "begin")
        def begin_transaction(connection: Connection) -> None:
            connection.exec_driver_sql(begin)

        return engine

    return make


def _pair(request: pytest.FixtureRequest) -> Engine:
    require_driver("psycopg")
    pair: SynchronousPair = request.getfixturevalue("pair")
    name = next_name()
    pair.primary.create_database(name)
    return create_engine(pair.url("psycopg", name))


def _galera(request: pytest.FixtureRequest) -> Engine:
    """Return an engine that connects to the nodes round-robin, as through a load balancer."""
    cluster: GaleraCluster = request.getfixturevalue("galera")
    name = next_name()
    cluster.nodes[0].create_database(name)
    wait = {"init_command": "SET SESSION wsrep_sync_wait = 7"}  # reads see what was acknowledged elsewhere
    engine = create_engine(cluster.nodes[0].url("pymysql", name), connect_args=wait)
    ports = itertools.cycle(node.port for node in cluster.nodes)

    @event.listens_for(engine, "do_connect")
    def choose_node(dialect: object, record: object, args: object, options: dict[str, Any]) -> None:
        options["port"] = next(ports)

    return engine


ENGINES: dict[str, MakeEngine] = {
    "sqlite": _of_driver("sqlite"),
    "sqlite-wal": _sqlite_wal,
    "sqlite-begin": _sqlite_with("BEGIN"),
    "sqlite-immediate": _sqlite_with("BEGIN IMMEDIATE"),
    "postgresql-psycopg": _postgresql("psycopg"),
    "postgresql-psycopg2": _postgresql("psycopg2"),
    "postgresql-serializable": _postgresql("psycopg", isolation_level="SERIALIZABLE"),
    "postgresql-pair": _pair,
    "mariadb-pymysql": _of_driver("pymysql"),
    "mariadb-mysqlclient": _of_driver("mysqldb"),
    "galera": _galera,
}
POSTGRESQL = ["postgresql-psycopg", "postgresql-psycopg2"]
MARIADB = ["mariadb-pymysql", "mariadb-mysqlclient"]
DRIVERS = ["sqlite", *POSTGRESQL, *MARIADB]
#: The PostgreSQL of ordinary runs.
POSTGRES = f"postgresql-{PSYCOPG}"


def on(*names: str) -> pytest.MarkDecorator:
    """Run a test on the engines named.

    Args:
        names: Keys of ``ENGINES``.
    """
    return pytest.mark.parametrize("engine", mark_slow(names), indirect=True)


def stored(engine: Engine) -> list[tuple[str, int]]:
    """Return the codes in the table with their owners, read in a session of its own."""
    with Session(engine) as session:
        rows = session.execute(select(Machine.machine_code, Machine.user_id))
        return [(code, owner) for code, owner in rows]
