"""Hold what every private database server has in common: its directory, its port and its life cycle."""

from __future__ import annotations

import shutil
import signal
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from .process import Managed, Process, ServerError, free_port, new_directory, wait_until


class Server(Managed):
    """One database server on loopback; its port and data stay the same from start to start."""

    stop_signal = signal.SIGTERM

    def __init__(self, name: str) -> None:
        """Choose a port and make a directory; nothing runs before `start`."""
        self.port = free_port()
        self.directory = new_directory(name)
        self.data = self.directory / "data"
        self.log = self.directory / "server.log"
        self._process: Process | None = None

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
    def _command(self) -> Sequence[str | Path]:
        """Return the command line of the server."""

    @abstractmethod
    def _admin_url(self) -> str:
        """Return the URL that `execute` uses."""

    @property
    def running(self) -> bool:
        """Tell whether the server's process is there, paused or not."""
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Start, or start again with the same data, and wait until the server is ready."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start without waiting."""
        if self.running:
            raise ServerError("the server is running already")
        self._prepare_data()
        self._process = Process(self._command(), directory=self.directory, log=self.log)

    def wait_ready(self, timeout: float = 60) -> None:
        """Wait until the server does its work; raise at once when its process has ended."""
        wait_until(self._ready_or_ended, timeout, "the server to get ready", self.log)
        if not self.running:
            raise ServerError(f"the server ended: {self.log.read_text(errors='replace')[-4000:]}")

    def ready(self) -> bool:
        """Tell whether the server answers a query."""
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

    def kill(self) -> None:
        """Kill -9 the server with all its processes; the data stay."""
        if self._process is not None:
            self._process.kill()

    def pause(self) -> None:
        """Freeze the server with SIGSTOP: connections stay open, nothing is answered."""
        if self._process is not None:
            self._process.pause()

    def resume(self) -> None:
        """Let a paused server go on."""
        if self._process is not None:
            self._process.resume()

    def stop(self, timeout: float = 30) -> None:
        """Shut the server down in order; the data stay."""
        if self._process is not None:
            self._process.terminate(self.stop_signal, timeout)

    def close(self) -> None:
        """Kill the server and remove its directory."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _prepare_data(self) -> None:
        if not self.data.exists():
            self._create_data()

    def _ready_or_ended(self) -> bool:
        return not self.running or self.ready()
