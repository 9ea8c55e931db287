"""Hold what every private server has in common: its directory, its port and its life cycle."""

from __future__ import annotations

import shutil
import signal
import socket
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from .process import LOOPBACK, Managed, Process, ServerError, free_port, new_directory, wait_until


class Program(Managed):
    """A server on loopback; its port and its directory stay the same from start to start."""

    stop_signal = signal.SIGTERM
    #: Variables of a program that runs as our own account; None for the servers' account.
    environment: Mapping[str, str] | None = None

    def __init__(self, name: str) -> None:
        """Choose a port and make a directory; nothing runs before `start`."""
        self.port = free_port()
        self.directory = new_directory(name)
        self.log = self.directory / "server.log"
        self._process: Process | None = None

    @abstractmethod
    def _command(self) -> Sequence[str | Path]:
        """Return the command line of the server."""

    @property
    def running(self) -> bool:
        """Return whether the server's process is there, paused or not."""
        return self._process is not None and self._process.running

    @property
    def children(self) -> list[int]:
        """The process ids of the children of the server's process."""
        return [] if self._process is None else self._process.children

    def start(self) -> None:
        """Start, or start again with the same data, and wait until the server is ready."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start without waiting."""
        if self.running:
            raise ServerError("the server is running already")
        self._prepare()
        command = self._command()
        self._process = Process(command, directory=self.directory, log=self.log, environment=self.environment)

    def wait_ready(self, timeout: float = 60) -> None:
        """Wait until the server does its work; raise at once when its process has ended."""
        wait_until(self._ready_or_ended, timeout, "the server to get ready", self.log)
        if not self.running:
            raise ServerError(f"the server ended: {self.log.read_text(errors='replace')[-4000:]}")

    def ready(self) -> bool:
        """Return whether the server listens."""
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, self.port)) == 0

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

    def _prepare(self) -> None:
        """Make what the server needs in its directory."""

    def _ready_or_ended(self) -> bool:
        return not self.running or self.ready()
