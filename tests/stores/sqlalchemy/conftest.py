"""Databases of every kind, each test on one of its own, with the tables of a host and its two users."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import create_engine, event, select
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import QueuePool

from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore
from tests.servers import (
    GaleraCluster,
    MariaDBServer,
    PostgresServer,
    SynchronousPair,
    require_driver,
)

from .models import FIRST, SECOND, Account, Base, Machine

NUMBERS = itertools.count(1)


def on_sqlite(request: pytest.FixtureRequest, path: Path) -> Engine:
    # The pool is the default from SQLAlchemy 2 on, and with it connections that change threads.
    settings = {"check_same_thread": False}
    engine = create_engine(f"sqlite:///{path}", poolclass=QueuePool, connect_args=settings)
    enforce = "PRAGMA foreign_keys=ON"
    event.listen(engine, "connect", lambda connection, record: connection.execute(enforce).close())
    return engine


def on_sqlite_wal(request: pytest.FixtureRequest, path: Path) -> Engine:
    engine = on_sqlite(request, path)
    event.listen(engine, "connect", lambda connection, record: connection.execute("PRAGMA journal_mode=WAL"))
    return engine


def on_sqlite_with(begin: str) -> Callable[[pytest.FixtureRequest, Path], Engine]:
    """Return a maker of engines with one of SQLAlchemy's recipes for transactions on SQLite."""

    def make(request: pytest.FixtureRequest, path: Path) -> Engine:
        engine = on_sqlite_wal(request, path)

        @event.listens_for(engine, "connect")
        def leave_transactions_to_us(connection: sqlite3.Connection, record: object) -> None:
            connection.isolation_level = None

        @event.listens_for(engine, "begin")
        def begin_transaction(connection: Connection) -> None:
            connection.exec_driver_sql(begin)

        return engine

    return make


def on_postgres(driver: str, **options: Any) -> Callable[[pytest.FixtureRequest, Path], Engine]:
    def make(request: pytest.FixtureRequest, path: Path) -> Engine:
        require_driver(driver)
        server: PostgresServer = request.getfixturevalue("postgres")
        name = f"host_{next(NUMBERS)}"
        server.create_database(name)
        return create_engine(server.url(driver, name), **options)

    return make


def on_pair(request: pytest.FixtureRequest, path: Path) -> Engine:
    require_driver("psycopg")
    pair: SynchronousPair = request.getfixturevalue("pair")
    name = f"host_{next(NUMBERS)}"
    pair.primary.create_database(name)
    return create_engine(pair.url("psycopg", name))


def on_mariadb(driver: str, **options: Any) -> Callable[[pytest.FixtureRequest, Path], Engine]:
    def make(request: pytest.FixtureRequest, path: Path) -> Engine:
        require_driver(driver)
        server: MariaDBServer = request.getfixturevalue("mariadb")
        name = f"host_{next(NUMBERS)}"
        server.create_database(name)
        return create_engine(server.url(driver, name), **options)

    return make


def on_galera(request: pytest.FixtureRequest, path: Path) -> Engine:
    """Return an engine whose connections go to the nodes in turn, as through a load balancer."""
    cluster: GaleraCluster = request.getfixturevalue("galera")
    name = f"host_{next(NUMBERS)}"
    cluster.nodes[0].create_database(name)
    wait = {"init_command": "SET SESSION wsrep_sync_wait = 7"}  # reads see what was acknowledged elsewhere
    engine = create_engine(cluster.nodes[0].url("pymysql", name), connect_args=wait)
    ports = itertools.cycle(node.port for node in cluster.nodes)

    @event.listens_for(engine, "do_connect")
    def choose_node(dialect: object, record: object, args: object, options: dict[str, Any]) -> None:
        options["port"] = next(ports)

    return engine


ENGINES: dict[str, Callable[[pytest.FixtureRequest, Path], Engine]] = {
    "sqlite": on_sqlite,
    "sqlite-wal": on_sqlite_wal,
    "sqlite-begin": on_sqlite_with("BEGIN"),
    "sqlite-immediate": on_sqlite_with("BEGIN IMMEDIATE"),
    "postgresql-psycopg": on_postgres("psycopg"),
    "postgresql-psycopg2": on_postgres("psycopg2"),
    "postgresql-serializable": on_postgres("psycopg", isolation_level="SERIALIZABLE"),
    "postgresql-pair": on_pair,
    "mariadb-pymysql": on_mariadb("pymysql"),
    "mariadb-mysqlclient": on_mariadb("mysqldb"),
    "galera": on_galera,
}
DRIVERS = ["sqlite", "postgresql-psycopg", "postgresql-psycopg2", "mariadb-pymysql", "mariadb-mysqlclient"]
# Ordinary runs take SQLite and one PostgreSQL; CI takes them all.
POSTGRES = "postgresql-psycopg" if sqlalchemy.__version__ >= "2" else "postgresql-psycopg2"
QUICK = {name for name in ENGINES if name.startswith("sqlite")} | {POSTGRES}


def params(names: Iterable[str]) -> list[Any]:
    """Mark the engines that an ordinary run leaves out."""
    return [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.clusters]) for name in names]


@pytest.fixture(params=params(DRIVERS))
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An engine on each driver's database, unless a test names its own with ``on()``."""
    engine = ENGINES[request.param](request, tmp_path / "host.db")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        for user in (FIRST, SECOND):
            session.add(Account(id=user.key, aegisspeed_id=user.aegisspeed_id, id_number=user.id_number))
        session.commit()
    yield engine
    assert engine.pool.checkedout() == 0, "a failure has cost a slot of the pool"  # type: ignore[attr-defined]
    engine.dispose()


def on(*names: str) -> pytest.MarkDecorator:
    """Let a test run on the engines named."""
    return pytest.mark.parametrize("engine", params(names), indirect=True)


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    """What a host hands to the stores."""
    return sessionmaker(engine)


@pytest.fixture
def store(sessions: sessionmaker[Session]) -> SQLAlchemyMachineStore:
    """A store that gives up soon."""
    return SQLAlchemyMachineStore(sessions, Machine, deadline=1.5)


def stored(engine: Engine) -> list[tuple[str, int]]:
    """Return the codes in the table with their owners, read in a session of its own."""
    with Session(engine) as session:
        rows = session.execute(select(Machine.machine_code, Machine.user_id))
        return [(code, owner) for code, owner in rows]
