"""An empty database for each candidate, with the same tables and users."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from sqlite3 import connect
from typing import TypeAlias

from sqlalchemy import create_engine, func, insert, select

from tests.servers import MariaDBServer, PostgresServer

from .candidates.models import Machine, User, db
from .contract import USERS, user_row

#: Makes a database of a name, with the tables and the users in it, and returns its URL.
NewDatabase: TypeAlias = Callable[[str], str]


@contextmanager
def postgresql(folder: Path) -> Iterator[NewDatabase]:
    """Run a private server."""
    with PostgresServer() as server:
        yield partial(new_on, server)


@contextmanager
def mariadb(folder: Path) -> Iterator[NewDatabase]:
    """Run a private server."""
    with MariaDBServer() as server:
        yield partial(new_on, server)


@contextmanager
def sqlite(folder: Path) -> Iterator[NewDatabase]:
    """Keep each database in a file, with a write-ahead log, as SQLite advises for many threads."""

    def new(name: str) -> str:
        path = folder / f"{name}.db"
        with closing(connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")  # the file remembers it
        return filled(f"sqlite:///{path}")

    yield new


DATABASES = {"PostgreSQL": postgresql, "MariaDB": mariadb, "SQLite": sqlite}
SERVERS: dict[str, type[PostgresServer | MariaDBServer]] = {
    "PostgreSQL": PostgresServer,
    "MariaDB": MariaDBServer,
}


def new_on(server: PostgresServer | MariaDBServer, name: str) -> str:
    """Make a database on a server, with the tables and the users in it, and return its URL."""
    server.create_database(name)
    url = server.url(database=name).partition("?")[0]  # without time limits, which not every driver knows
    return filled(f"{url}?charset=utf8mb4" if isinstance(server, MariaDBServer) else url)


def filled(url: str) -> str:
    """Create the tables and the users; return the URL."""
    engine = create_engine(url)
    db.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(User), [user_row(number) for number in range(1, USERS + 1)])
    engine.dispose()
    return url


def machines_in(url: str) -> int:
    """Count the machines in a database."""
    engine = create_engine(url)
    with engine.connect() as connection:
        number: int = connection.execute(select(func.count()).select_from(Machine)).scalar_one()
    engine.dispose()
    return number
