"""Compares the candidates: requests per second, latencies, and processor time of the server per request."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median, quantiles
from typing import TypeAlias

from .contract import check
from .databases import DATABASES, machines_in
from .serving import CANDIDATES, THREADS, Served, own_core


@dataclass(frozen=True)
class Result:
    """What was measured of a candidate, in one round or in the median of several."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float


#: Requests to a new process before it is measured.
WARM_UP = 200

#: The results of one round, by candidate.
Round: TypeAlias = dict[str, Result]


@dataclass(frozen=True)
class Target:
    """What a measure of the library is to be on PostgreSQL, as a multiple of another candidate's."""

    measure: str
    other: str
    limit: float

    def line(self, results: Round, ours: str) -> str:
        """Return the ratio of one of our candidates, and whether it is reached."""
        ratio = getattr(results[ours], self.measure) / getattr(results[self.other], self.measure)
        if self.measure == "per_second":
            name, sign, reached = "requests per second", "≥", ratio >= self.limit
        else:
            name, sign, reached = "server CPU per request", "≤", ratio <= self.limit
        verdict = "reached" if reached else "not reached"
        return f"{name}, {ours} / {self.other}: {ratio:.2f}, target {sign} {self.limit:.2f}: {verdict}"


TARGETS = [
    Target("cpu_ms", "by_hand", 0.30),
    Target("cpu_ms", "smorest", 0.60),
    Target("cpu_ms", "floor", 2.2),
    Target("per_second", "fastapi", 1.3),
    Target("per_second", "by_hand", 3.0),
]


def compare(database: str, rounds: int, requests: int) -> list[Round]:
    """Measure all candidates on a database, in turn, after each has proved that it answers alike.

    Each turn is a new process: two processes of one candidate may differ by a tenth, by luck.

    Args:
        database: A name of ``DATABASES``.
        rounds: How often each candidate has its turn.
        requests: How many machines are registered in each turn.

    Returns:
        The results of each round.

    Raises:
        AssertionError: A candidate answers otherwise, or a machine that it acknowledged is not there.
    """
    with ExitStack() as stack:
        core = stack.enter_context(own_core())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        new_database = stack.enter_context(DATABASES[database](folder))
        urls = {name: new_database(name) for name in CANDIDATES}
        results = []
        for _ in range(rounds):
            servers = {name: Served(name, url, folder, core) for name, url in urls.items()}
            results.append({name: measure(served, requests) for name, served in servers.items()})
        expected = rounds * (1 + WARM_UP + requests // THREADS * THREADS)
        for name in CANDIDATES:
            assert machines_in(urls[name]) == expected, f"{name} lost machines"
    return results


def measure(served: Served, requests: int) -> Result:
    """Give a candidate its turn."""
    with served:
        check(served.port)
        served.load(WARM_UP)
        before = served.cpu()
        load = served.load(requests)
        cpu = served.cpu() - before
    number = len(load.latencies)
    percentiles = [1000 * cut for cut in quantiles(load.latencies, n=100)]
    return Result(number / load.seconds, percentiles[49], percentiles[98], 1000 * cpu / number)


def medians(rounds: Sequence[Round]) -> Round:
    """Return the median of each measure of each candidate."""
    measures = [field.name for field in fields(Result)]
    return {
        name: Result(*(median(getattr(each[name], measure) for each in rounds) for measure in measures))
        for name in rounds[0]
    }


def table(results: Round) -> str:
    """Return results as text."""
    lines = [f"{'':14}{'requests/s':>12}{'p50 ms':>10}{'p99 ms':>10}{'server CPU ms/request':>24}"]
    for name, result in results.items():
        measured = f"{result.per_second:12.0f}{result.p50_ms:10.2f}{result.p99_ms:10.2f}{result.cpu_ms:24.3f}"
        lines.append(f"{name:14}{measured}")
    return "\n".join(lines)
