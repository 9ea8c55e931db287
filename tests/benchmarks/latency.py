"""Measures what the distance to the database costs: round trips, and the latency of one client's requests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.servers import Proxy

from .contract import check
from .databases import SERVERS, new_on
from .serving import LOOPBACK, Served, own_core

CANDIDATES = ("library", "library_autocommit", "by_hand", "by_hand_right", "smorest", "fastapi", "floor")
#: Milliseconds that each message takes in each direction: the same zone, another zone, another region.
DELAYS = (0, 1, 5, 20)
_COUNTED = 20


@dataclass(frozen=True)
class Distance:
    """What the distance costs one candidate."""

    bound_round_trips: float
    taken_round_trips: float
    p50_ms: dict[int, float]


def measure(database: str, requests: int, delays: Sequence[int] = DELAYS) -> Iterator[tuple[str, Distance]]:
    """Let one client register machines, with the database at several distances.

    Args:
        database: A name of ``SERVERS``.
        requests: How many requests are measured at each distance.
        delays: The distances in milliseconds, one way.

    Returns:
        What was measured of each candidate.
    """
    with ExitStack() as stack:
        core = stack.enter_context(own_core())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(SERVERS[database]())
        proxy = stack.enter_context(Proxy(LOOPBACK, server.port))
        for name in CANDIDATES:
            url = new_on(server, name).replace(f":{server.port}/", f":{proxy.port}/")
            # One thread: with several, each would have a connection that has not prepared its statements.
            with Served(name, url, folder, core, threads=1) as served:
                yield name, _measure(served, proxy, requests, delays)
            proxy.delay = 0


def _measure(served: Served, proxy: Proxy, requests: int, delays: Sequence[int]) -> Distance:
    check(served.port)
    served.load(_COUNTED, clients=1)  # psycopg prepares a statement at its sixth execution
    bound, taken = (_round_trips(served, proxy, kind) for kind in ("register", "taken"))
    p50_ms = {}
    for delay in delays:
        proxy.delay = delay / 1000
        p50_ms[delay] = 1000 * median(served.load(requests, clients=1).latencies)
    return Distance(bound, taken, p50_ms)


def _round_trips(served: Served, proxy: Proxy, kind: str) -> float:
    served.load(_COUNTED, kind, clients=1)
    before = sum(proxy.round_trips)
    served.load(_COUNTED, kind, clients=1)
    return (sum(proxy.round_trips) - before) / _COUNTED


def header(delays: Sequence[int] = DELAYS) -> str:
    """Return the names of the columns."""
    columns = "".join(f"{f'p50 ms at {delay} ms':>17}" for delay in delays)
    return f"{'':20}{'round trips':>12}{'of a refusal':>14}{columns}"


def line(name: str, distance: Distance) -> str:
    """Return what was measured of a candidate, as text."""
    latencies = "".join(f"{latency:17.1f}" for latency in distance.p50_ms.values())
    return f"{name:20}{distance.bound_round_trips:12.1f}{distance.taken_round_trips:14.1f}{latencies}"
