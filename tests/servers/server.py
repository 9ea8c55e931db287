"""Hold what every private database server has in common: its data, and how statements reach it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from .program import Program


class Server(Program):
    """One database server on loopback; its data stay from start to start."""

    def __init__(self, name: str) -> None:
        """Choose a port and make a directory; nothing runs before `start`."""
        super().__init__(name)
        self.data = self.directory / "data"

    @abstractmethod
    def url(self) -> str:
        """Return the SQLAlchemy URL; kinds of servers add the choice of driver and database."""

    @abstractmethod
    def terminate_backends(self) -> int:
        """End all other sessions from the server's side; return how many."""

    @abstractmethod
    def _create_data(self) -> None:
        """Fill the data directory before the first start."""

    @abstractmethod
    def _admin_url(self) -> str:
        """Return the URL that `execute` uses."""

    def ready(self) -> bool:
        """Return whether the server answers a query."""
        return self.answer("SELECT 1") == [(1,)]

    def answer(self, statement: str) -> list[tuple[Any, ...]] | None:
        """Execute one statement like `execute`, but return None where the server reports an error."""
        try:
            return self.execute(statement)
        except DBAPIError:
            return None

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Execute one statement in AUTOCOMMIT on a connection of its own; return its rows."""
        engine = create_engine(self._admin_url(), poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            result = connection.exec_driver_sql(statement)
            return [tuple(row) for row in result] if result.returns_rows else []

    def create_database(self, name: str) -> None:
        """Create an empty database."""
        self.execute(f"CREATE DATABASE {name}")

    def _prepare(self) -> None:
        if not self.data.exists():
            self._create_data()
