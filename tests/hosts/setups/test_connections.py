"""What a host's connections are after the stores have used them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.orm import sessionmaker

from flask_aegis_machines import MachineCodeTaken, User
from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore, SQLAlchemyUserStore
from flask_aegis_machines.testing import make_machine
from tests.support.hosts import USER_COLUMNS
from tests.support.live_databases import Database, mark_slow
from tests.support.setups import SetUp, make_models, make_tables

FIRST, SECOND = User(1, "ASD000001", "1"), User(2, "ASD000002", "2")

# What a connection says about itself, for each driver.
STATE: dict[str, Callable[[Any], object]] = {
    "sqlite": lambda connection: (connection.isolation_level, getattr(connection, "autocommit", None)),
    "psycopg": lambda connection: (connection.autocommit, connection.isolation_level, connection.read_only),
    "psycopg2": lambda connection: (connection.autocommit, connection.isolation_level, connection.readonly),
    "pymysql": lambda connection: (connection.get_autocommit(), _ask(connection, "SELECT @@tx_isolation")),
    "mysqldb": lambda connection: (connection.get_autocommit(), _ask(connection, "SELECT @@tx_isolation")),
}


def _ask(connection: Any, statement: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()


def as_it_is(engine: Engine, driver: str) -> None:
    """Leave the engine as SQLAlchemy makes it."""


def autocommit_of_the_driver(engine: Engine, driver: str) -> None:
    """Put connections into autocommit as they are made."""

    @event.listens_for(engine, "connect")
    def connect(connection: Any, record: object) -> None:
        if driver == "sqlite":
            connection.isolation_level = None
        elif driver.startswith("psycopg"):
            connection.autocommit = True
        else:
            connection.autocommit(True)


def serializable_by_a_listener(engine: Engine, driver: str) -> None:
    """Set an isolation level as connections are made, which SQLAlchemy does not know of."""

    @event.listens_for(engine, "connect")
    def connect(connection: Any, record: object) -> None:
        if driver == "sqlite":
            connection.isolation_level = "IMMEDIATE"
        elif driver == "psycopg":
            from psycopg import IsolationLevel

            connection.isolation_level = IsolationLevel.SERIALIZABLE
        elif driver == "psycopg2":
            connection.isolation_level = 3
        else:
            with connection.cursor() as cursor:
                cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE")
            connection.commit()


def serializable_by_the_engine(engine: Engine, driver: str) -> Engine:
    """Set an isolation level for one view of the engine, which SQLAlchemy sets and resets itself."""
    return engine.execution_options(isolation_level="SERIALIZABLE")


@pytest.mark.parametrize(
    "change",
    [as_it_is, autocommit_of_the_driver, serializable_by_a_listener, serializable_by_the_engine],
    ids=lambda change: change.__name__,
)
@pytest.mark.parametrize(
    "database", mark_slow(["sqlite", "psycopg", "psycopg2", "pymysql", "mysqldb"]), indirect=True
)
def test_a_connection_comes_back_as_it_was(change: Any, database: Database) -> None:
    """Autocommit and isolation level are as before, and the host's next write is kept as it would be."""
    user, machine = make_models(SetUp("the usual tables"))
    engine = database.engine(pool_size=1, max_overflow=0)
    make_tables(engine, SetUp("the usual tables"), user, machine)
    engine.dispose()
    of_stores = change(engine, database.driver) or engine
    sessions = sessionmaker(of_stores)
    users = SQLAlchemyUserStore(sessions, user, **USER_COLUMNS)
    machines = SQLAlchemyMachineStore(sessions, machine)
    with of_stores.connect():
        pass  # the reset of a level that is the engine's leaves a trace, with or without the stores
    before = _state(engine, database.driver)
    assert users.get("1") == User(1, "ASD000001", "110101199003071231")
    machines.bind(make_machine(), FIRST)
    with pytest.raises(MachineCodeTaken):
        machines.bind(make_machine(), SECOND)
    assert machines.list_for(SECOND) == []
    assert _state(engine, database.driver) == before
    _write(engine, "first")
    assert machines.owner_of(make_machine().machine_code) is not None
    _write(engine, "second")
    assert database.execute("SELECT id_number FROM account ORDER BY id") == [("second",), ("second",)]


def _state(engine: Engine, driver: str) -> object:
    connection = engine.raw_connection()
    try:
        return STATE[driver](connection.driver_connection)
    finally:
        connection.close()


def _write(engine: Engine, value: str) -> None:
    """Write as a host does that has the driver's connection."""
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute(f"UPDATE account SET id_number = '{value}'")
        cursor.close()
        connection.commit()
    finally:
        connection.close()
