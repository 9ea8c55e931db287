"""Measures what requests cost the more rows there are, and a worker's memory the more requests there were."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from datetime import datetime, timedelta, timezone
from pathlib import Path
from statistics import median
from typing import TypeAlias

import psutil
import psycopg
from sqlalchemy import create_engine

from tests.servers import PostgresServer
from tests.servers.process import wait_until

from .candidates.models import Machine
from .contract import USERS, document
from .databases import filled
from .serving import THREADS, Served, own_core

FLAT = 1.1
_LOGGED = 40
_STATEMENT = re.compile(r" LOG:  (?:statement|execute [^:]*): ")
_FIRST_MOMENT = datetime(2020, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Cost:
    """What one request costs."""

    server_ms: float
    database_ms: float
    statements: float

    @property
    def cpu_ms(self) -> float:
        """Return the processor time of both."""
        return self.server_ms + self.database_ms


#: The costs of one operation in one round, by number of rows.
Round: TypeAlias = dict[int, Cost]


class Sized:
    """The library on a table that holds a number of rows already, half of them of the first user."""

    def __init__(self, server: PostgresServer, rows: int, folder: Path, core: int, stack: ExitStack) -> None:
        self._server = server
        self._name = f"rows_{rows}"
        server.create_database(self._name)
        url = filled(server.url(database=self._name))
        copy_machines(url, rows)
        self._served = stack.enter_context(Served("library", url, folder, core))
        middle = machine_code(rows // 4 * 2)
        self._operations = {
            "registration": ("register", ""),
            "the check of a code": ("check", middle),
            "a page of the list": ("page", middle),
        }

    def measure(self, requests: int) -> dict[str, Cost]:
        """Measure each operation."""
        return {name: self._cost(requests, *kind) for name, kind in self._operations.items()}

    def _cost(self, requests: int, kind: str, code: str) -> Cost:
        self._served.load(10 * THREADS, kind, code)  # warms up
        server, database = self._served.cpu(), self._database_cpu()
        self._served.load(requests, kind, code)
        server, database = self._served.cpu() - server, self._database_cpu() - database
        return Cost(1000 * server / requests, 1000 * database / requests, self._statements(kind, code))

    def _database_cpu(self) -> float:
        """Return the processor time of the sessions; what the server does in the background is left out."""
        sessions = self._server.execute(
            "SELECT pid FROM pg_stat_activity"
            f" WHERE datname = '{self._name}' AND backend_type = 'client backend'"
        )
        return sum(sum(psutil.Process(pid).cpu_times()[:2]) for (pid,) in sessions)

    def _statements(self, kind: str, code: str) -> float:
        """Let the database log its statements, and count them."""
        self._log_statements("all")
        start = len(self._server.log.read_text())
        self._served.load(_LOGGED, kind, code)
        statements = len(_STATEMENT.findall(self._server.log.read_text()[start:]))
        self._log_statements("none")
        return statements / _LOGGED

    def _log_statements(self, which: str) -> None:
        self._server.execute(f"ALTER SYSTEM SET log_statement = '{which}'")
        self._server.execute("SELECT pg_reload_conf()")
        wait_until(lambda: self._server.answer("SHOW log_statement") == [(which,)], 10, "the setting")


def machine_code(number: int) -> str:
    """Return the code of a row, in no order."""
    return hashlib.md5(b"%d" % number).hexdigest()


def copy_machines(url: str, rows: int) -> None:
    """Fill the table by COPY, without its indexes, which are made afterwards."""
    engine = create_engine(url)
    for index in Machine.__table__.indexes:
        index.drop(engine)
    row = {**document(1, ""), "registered_at": "", "attempt": "", "user_id": ""}
    del row["user_AegisSpeed_id"]
    command = f"COPY machine ({', '.join(row)}) FROM STDIN"
    address = url.replace("+psycopg", "")
    with psycopg.connect(address) as connection, connection.cursor().copy(command) as copy:
        for number in range(rows):
            row["machine_code"] = row["attempt"] = machine_code(number)
            row["registered_at"] = str(_FIRST_MOMENT + timedelta(seconds=number))
            row["user_id"] = str(number % USERS + 1 if number % 2 else 1)
            copy.write("\t".join(row.values()) + "\n")
    for index in Machine.__table__.indexes:
        index.create(engine)
    engine.dispose()
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def measure(sizes: Sequence[int], rounds: int, requests: int) -> dict[str, list[Round]]:
    """Measure with each number of rows, in turn.

    Args:
        sizes: How many rows there are to be.
        rounds: How often each size has its turn.
        requests: How many requests of each operation are measured in each turn.

    Returns:
        The rounds of each operation.

    Raises:
        ServerError: A server did not start.
    """
    with ExitStack() as stack:
        core = stack.enter_context(own_core())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(PostgresServer())
        tables = {rows: Sized(server, rows, folder, core, stack) for rows in sizes}
        turns = [{rows: table.measure(requests) for rows, table in tables.items()} for _ in range(rounds)]
    return {
        operation: [{rows: turn[rows][operation] for rows in sizes} for turn in turns]
        for operation in turns[0][sizes[0]]
    }


def table(rounds: Sequence[Round]) -> str:
    """Return the medians of an operation's rounds as text, and whether they are flat."""
    lines = [f"{'rows':>10}{'server CPU ms':>16}{'database CPU ms':>18}{'statements':>12}"]
    for rows in rounds[0]:
        server, database, statements = (
            median(getattr(each[rows], field.name) for each in rounds) for field in fields(Cost)
        )
        lines.append(f"{rows:10}{server:16.3f}{database:18.3f}{statements:12.2f}")
    fewest = min(rounds[0])
    highest = max(median(each[rows].cpu_ms / each[fewest].cpu_ms for each in rounds) for rows in rounds[0])
    verdict = "reached" if highest <= FLAT else "not reached"
    lines.append(f"highest CPU / that with the fewest rows: {highest:.2f}, target ≤ {FLAT:.2f}: {verdict}")
    return "\n".join(lines)


def memory(requests: int, parts: int = 10) -> Iterator[tuple[int, float]]:
    """Register many machines with one worker; after each part of them, tell its memory in MiB."""
    with own_core() as core, tempfile.TemporaryDirectory() as folder, PostgresServer() as server:
        server.create_database("memory")
        url = filled(server.url(database="memory"))
        with Served("library", url, Path(folder), core) as served:
            for part in range(1, parts + 1):
                served.load(requests // parts)
                yield part * (requests // parts), served.memory() / 2**20
