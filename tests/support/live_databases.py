"""Empty databases, each for one test, on SQLite or on a server of the tests."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, QueuePool

from tests.servers import MariaDBServer, PostgresServer, require_driver

__all__ = ["PSYCOPG", "Database", "make_database", "mark_slow", "next_name"]

#: The PostgreSQL driver of ordinary runs: SQLAlchemy 1.4 has no dialect for psycopg.
PSYCOPG = "psycopg" if sqlalchemy.__version__ >= "2" else "psycopg2"

_NUMBERS = itertools.count(1)


class Database:
    """A database, its engines, and a way around them.

    Args:
        url: Its URL, for the account that may do everything.
        driver: The name of its driver.
    """

    def __init__(self, url: URL, driver: str) -> None:
        self.url, self.driver = url, driver
        self.name = Path(url.database or "").stem
        #: The name of an account that a set-up may create. Accounts are those of the whole server.
        self.role = f"role_of_{self.name}"

    def engine(self, *, role: bool = False, **options: Any) -> Engine:
        """Make an engine as a host has it, for the account that may do everything or for the role."""
        if self.driver == "sqlite":
            options = {"poolclass": QueuePool, "connect_args": {"check_same_thread": False}, **options}
        engine = create_engine(self.url.set(username=self.role) if role else self.url, **options)
        if self.driver == "sqlite":
            event.listen(
                engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys=ON")
            )
        return engine

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Execute statements in AUTOCOMMIT on a fresh connection; return the rows of the last one.

        A statement that begins with an exclamation mark must fail.
        """
        engine = create_engine(self.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        rows: list[tuple[Any, ...]] = []
        with engine.connect() as connection:
            for statement in statements:
                statement = statement.replace("{role}", self.role)
                if statement.startswith("!"):
                    with pytest.raises(DBAPIError):
                        connection.exec_driver_sql(statement[1:])
                    continue
                result = connection.exec_driver_sql(statement)
                rows = [tuple(row) for row in result] if result.returns_rows else []
        return rows


def make_database(request: pytest.FixtureRequest, driver: str) -> Database:
    """Make an empty database.

    Args:
        request: The request of a fixture or a test.
        driver: ``sqlite``, ``psycopg``, ``psycopg2``, ``pymysql`` or ``mysqldb``.
    """
    name = next_name()
    if driver == "sqlite":
        path: Path = request.getfixturevalue("tmp_path")
        return Database(make_url(f"sqlite:///{path}/{name}.db"), driver)
    require_driver(driver)
    is_postgres = driver.startswith("psycopg")
    server: PostgresServer | MariaDBServer = request.getfixturevalue("postgres" if is_postgres else "mariadb")
    server.create_database(name)
    return Database(make_url(server.url(driver, name)), driver)


def next_name() -> str:
    """Return a name for a database that no other test has."""
    return f"database_{next(_NUMBERS)}"


def mark_slow(names: Iterable[str]) -> list[Any]:
    """Mark the parameters that ordinary runs leave out: all but SQLite and one driver of PostgreSQL.

    Args:
        names: Names of drivers, or of engines (``tests/support/engines.py``).
    """
    quick = {PSYCOPG, f"postgresql-{PSYCOPG}"}
    return [
        pytest.param(name, marks=() if name.startswith("sqlite") or name in quick else pytest.mark.clusters)
        for name in names
    ]
