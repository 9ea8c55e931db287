"""Serves a candidate as its own documentation advises, on a processor core of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.servers import ServerError, wait_until
from tests.servers.process import Managed, free_port

from .connection import LOOPBACK
from .contract import DATABASE_VARIABLE

ROOT = Path(__file__).parent.parent.parent
#: Threads of a WSGI server, and connections of the load generator: as many as the pools have to spare.
THREADS = 4
GUNICORN = ["gunicorn", "--worker-class=gthread", "--workers=1"]
UVICORN = ["uvicorn", "--factory", "--workers=1", "--no-access-log", "--log-level=warning"]
OURS = ("library", "library_bearer", "library_autocommit", "library_autocommit_bearer")
CANDIDATES = (*OURS, "by_hand", "by_hand_right", "smorest", "fastapi", "floor")
#: The library of another version, as its own benchmark mounts it.
RELEASE = "other_version"


@contextmanager
def own_core() -> Iterator[int]:
    """Give the last core to the candidates: this process, and what else it starts, keeps to the others."""
    cores = os.sched_getaffinity(0)
    *others, last = sorted(cores)
    os.sched_setaffinity(0, others or [last])
    try:
        yield last
    finally:
        os.sched_setaffinity(0, cores)


@dataclass(frozen=True)
class Load:
    """What the load generator saw."""

    seconds: float
    latencies: list[float]


def unmeasured() -> dict[str, str]:
    """Return the environment without the settings of coverage, which would measure itself."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


class Served(Managed):
    """A candidate that listens on loopback, in one worker process.

    Args:
        candidate: Its name.
        database: The URL of its database.
        folder: Where its log goes.
        core: The processor core that it runs on.
        threads: The threads of a WSGI server.
        root: The checkout that its code is in.
    """

    def __init__(
        self,
        candidate: str,
        database: str,
        folder: Path,
        core: int,
        threads: int = THREADS,
        root: Path = ROOT,
    ) -> None:
        self.port = free_port()
        self._root = root
        self._database = database
        self._log = folder / f"{candidate}-{self.port}.log"
        self._core = core
        module = f"{__package__}.candidates.{'library' if candidate == RELEASE else candidate}"
        if candidate == "fastapi":
            self._command = [*UVICORN, f"--host={LOOPBACK}", f"--port={self.port}", f"{module}:create_app"]
        else:
            address = f"--bind={LOOPBACK}:{self.port}"
            self._command = [*GUNICORN, f"--threads={threads}", address, f"{module}:create_app()"]

    def start(self) -> None:
        """Start and wait until the server listens."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self._command],
                cwd=self._root,  # from where it imports the package, before any that is installed
                env={**unmeasured(), DATABASE_VARIABLE: self._database},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        os.sched_setaffinity(self._process.pid, [self._core])  # before it starts its workers
        wait_until(self._listens_or_ended, 60, "the server to listen", self._log)
        if self._process.poll() is not None:
            raise ServerError(f"the server ended: {self._log.read_text()[-4000:]}")

    def close(self) -> None:
        """Shut the server down in order."""
        self._process.terminate()
        try:
            self._process.wait(60)
        finally:
            self._process.kill()

    def load(self, requests: int, kind: str = "register", code: str = "", clients: int = THREADS) -> Load:
        """Run the load generator, a process of its own.

        Args:
            requests: How many requests it sends.
            kind: Their kind, see ``load.maker``.
            code: The machine code in them.
            clients: How many clients send them, each waiting for its answers.
        """
        numbers = [str(number) for number in (self.port, clients, requests)]
        command = [sys.executable, "-m", f"{__package__}.load", *numbers, kind, code]
        done = subprocess.run(
            command, cwd=ROOT, env=unmeasured(), stdout=subprocess.PIPE, check=True, timeout=600
        )
        return Load(**json.loads(done.stdout))

    def cpu(self) -> float:
        """Return the seconds of processor time that all processes of the server have taken."""
        return sum(sum(process.cpu_times()[:2]) for process in self._processes())

    def log(self) -> str:
        """Return what the server has logged so far."""
        return self._log.read_text(errors="replace")

    def memory(self) -> int:
        """Return the bytes of memory that the server's worker occupies."""
        return max(process.memory_info().rss for process in self._processes())

    def _processes(self) -> list[psutil.Process]:
        first = psutil.Process(self._process.pid)
        return [first, *first.children(recursive=True)]

    def _listens_or_ended(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, self.port)) == 0 or self._process.poll() is not None
