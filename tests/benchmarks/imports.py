"""Measures how fast ``flask aegis-machines import`` fills an empty table, from the first row to the last."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from tests.servers.process import wait_until

from .contract import DATABASE_VARIABLE, USERS, document
from .databases import DATABASES, machines_in
from .serving import ROOT, unmeasured

PARTS = 10
_MODULE = f"{__package__}.candidates.library"
_COMMAND = [sys.executable, "-m", "flask", f"--app={_MODULE}", "aegis-machines", "import"]


def measure(database: str, rows: int) -> list[float]:
    """Import into an empty table.

    The command reads from a pipe, which holds a few hundred rows: so the time at which a row is written is
    the time at which the command gets there.

    Args:
        database: A name of ``DATABASES``.
        rows: How many machines there are.

    Returns:
        The rows per second in each tenth of the file.

    Raises:
        CalledProcessError: The command failed.
    """
    with tempfile.TemporaryDirectory() as name, DATABASES[database](Path(name)) as new_database:
        url, pipe = new_database("imported"), Path(name, "machines.csv")
        os.mkfifo(pipe)
        process = subprocess.Popen(
            [*_COMMAND, str(pipe)],
            cwd=ROOT,
            env={**unmeasured(), DATABASE_VARIABLE: url},
            stderr=subprocess.DEVNULL,
        )
        try:
            seconds = _write(_open(pipe, process), rows)
            if process.wait(60):
                raise subprocess.CalledProcessError(process.returncode, process.args)
        finally:
            process.kill()
        seconds[-1] = time.perf_counter()
        assert machines_in(url) == rows, "machines are missing"
    return [rows / PARTS / (end - start) for start, end in pairwise(seconds)]


def header() -> str:
    """Return the names of the columns."""
    return f"{'':14}{'rows/s':>10}   in each tenth"


def line(database: str, rates: Sequence[float]) -> str:
    """Return the rates on a database as text."""
    overall = len(rates) / sum(1 / rate for rate in rates)
    return f"{database:14}{overall:10.0f}{''.join(f'{rate:8.0f}' for rate in rates)}"


def _open(pipe: Path, process: subprocess.Popen[bytes]) -> int:
    """Open the pipe for writing when the command reads it; return the file descriptor."""
    opened: list[int] = []

    def is_read() -> bool:
        with suppress(OSError):  # nobody reads yet
            opened.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        return bool(opened) or process.poll() is not None

    wait_until(is_read, 60, "the command to read")
    if not opened:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    os.set_blocking(opened[0], True)
    return opened[0]


def _write(pipe: int, rows: int) -> list[float]:
    """Write the file; return when each tenth of it began and ended."""
    facts = document(1, "")
    with open(pipe, "w", newline="") as file:
        names: Sequence[str] = ("identity", *facts)
        file.write(_line(names))
        seconds = [time.perf_counter()]
        for number in range(rows):
            user = number % USERS + 1
            facts["user_AegisSpeed_id"] = f"ASD{user:06}"
            facts["machine_code"] = hashlib.md5(b"machine %d" % number).hexdigest()
            file.write(_line((str(user), *facts.values())))
            if (number + 1) % (rows // PARTS) == 0:
                seconds.append(time.perf_counter())
    return seconds


def _line(values: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(values)
    return line.getvalue()
