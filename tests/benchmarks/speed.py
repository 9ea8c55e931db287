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
from .serving import CANDIDATES, RELEASE, ROOT, THREADS, Served, own_core


@dataclass(frozen=True)
class Result:
    """What was measured of a candidate, in one round or in the median of several."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    taken_cpu_ms: float


#: Requests to a new process before it is measured, where at least as many are measured.
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
        # A refusal is compared with a success.
        other = "cpu_ms" if self.measure == "taken_cpu_ms" else self.measure
        ratio = getattr(results[ours], self.measure) / getattr(results[self.other], other)
        if self.measure == "per_second":
            name, sign, reached = "requests per second", "≥", ratio >= self.limit
        else:
            name = "server CPU per request" if self.measure == "cpu_ms" else "server CPU per refusal"
            sign, reached = "≤", ratio <= self.limit
        verdict = "reached" if reached else "not reached"
        return f"{name}, {ours} / {self.other}: {ratio:.2f}, target {sign} {self.limit:.2f}: {verdict}"


TARGETS = {
    "library": [
        Target("cpu_ms", "floor", 2.2),
        Target("cpu_ms", "smorest", 0.75),
        Target("cpu_ms", "fastapi", 1.0),
        Target("cpu_ms", "by_hand_right", 1.0),
        Target("per_second", "fastapi", 1.0),
        Target("taken_cpu_ms", "library", 1.3),
    ],
    "library_bearer": [Target("cpu_ms", "floor", 1.95)],
    "library_autocommit": [Target("cpu_ms", "floor", 1.9)],
    "library_autocommit_bearer": [Target("cpu_ms", "floor", 1.65), Target("per_second", "fastapi", 1.3)],
}


def compare(database: str, rounds: int, requests: int, release: Path | None = None) -> list[Round]:
    """Measure all candidates on a database, in turn, after each has proved that it answers alike.

    Each turn is a new process: two processes of one candidate may differ by a tenth, by luck.

    Args:
        database: A name of ``DATABASES``.
        rounds: How often each candidate has its turn.
        requests: How many machines are registered in each turn.
        release: A checkout of another version of the library, which is measured as well.

    Returns:
        The results of each round.

    Raises:
        AssertionError: A candidate answers otherwise, or a machine that it acknowledged is not there.
    """
    with ExitStack() as stack:
        core = stack.enter_context(own_core())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        new_database = stack.enter_context(DATABASES[database](folder))
        roots = dict.fromkeys(CANDIDATES, ROOT) | ({RELEASE: release} if release else {})
        urls = {name: new_database(name) for name in roots}
        results = []
        for _ in range(rounds):
            servers = {
                name: Served(name, urls[name], folder, core, root=root) for name, root in roots.items()
            }
            results.append({name: measure(served, requests) for name, served in servers.items()})
        expected = 1 + rounds * (
            1 + min(WARM_UP, requests) // THREADS * THREADS + requests // THREADS * THREADS
        )
        for name in roots:
            assert machines_in(urls[name]) == expected, f"{name} lost machines"
    return results


def measure(served: Served, requests: int) -> Result:
    """Give a candidate its turn."""
    with served:
        check(served.port)
        served.load(min(WARM_UP, requests))
        before = served.cpu()
        load = served.load(requests)
        cpu = served.cpu() - before
        refusals = max(requests // 2 // THREADS, 1) * THREADS
        served.load(refusals, "taken")
        taken_cpu = served.cpu() - before - cpu
    number = len(load.latencies)
    percentiles = [1000 * cut for cut in quantiles(load.latencies, n=100)]
    return Result(
        number / load.seconds,
        percentiles[49],
        percentiles[98],
        1000 * cpu / number,
        1000 * taken_cpu / refusals,
    )


def medians(rounds: Sequence[Round]) -> Round:
    """Return the median of each measure of each candidate."""
    measures = [field.name for field in fields(Result)]
    return {
        name: Result(*(median(getattr(each[name], measure) for each in rounds) for measure in measures))
        for name in rounds[0]
    }


def ratios(rounds: Sequence[Round]) -> str:
    """Return the CPU of each candidate as a part of that of ``library``: the median and the extremes."""
    lines = []
    for name in rounds[0]:
        parts = sorted(each[name].cpu_ms / each["library"].cpu_ms for each in rounds)
        lines.append(f"{name:26}{median(parts):8.2f} of library's CPU ({parts[0]:.2f} to {parts[-1]:.2f})")
    return "\n".join(lines)


def table(results: Round) -> str:
    """Return results as text."""
    columns = f"{'requests/s':>12}{'p50 ms':>10}{'p99 ms':>10}{'server CPU ms/request':>24}{'/refusal':>12}"
    lines = [f"{'':26}{columns}"]
    for name, result in results.items():
        measured = f"{result.per_second:12.0f}{result.p50_ms:10.2f}{result.p99_ms:10.2f}{result.cpu_ms:24.3f}"
        lines.append(f"{name:26}{measured}{result.taken_cpu_ms:12.3f}")
    return "\n".join(lines)
