"""Sends requests at a fixed rate, answered or not: up to the limit of one worker, and past it.

Clients that wait for an answer before they send again slow down with the server, and never show an overload.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from .contract import check
from .databases import DATABASES
from .load import registrations
from .serving import LOOPBACK, Served, own_core

CANDIDATES = ("library", "by_hand", "smorest", "fastapi")
#: The rates, as parts of what the worker does with clients that wait.
LOADS = (0.5, 0.8, 1.0, 1.2, 1.5, 2.0)
#: A client gives up after this many seconds.
PATIENCE = 10
_RECOVERED = 0.25
_PROBES = 100


@dataclass(frozen=True)
class Step:
    """What was seen at one rate."""

    sent: int
    bound: int
    failed: int
    unanswered: int
    p50_ms: float
    p99_ms: float
    pool_timeouts: int
    recovery: float


def measure(
    database: str, candidate: str, seconds: float, threads: int, loads: Sequence[float] = LOADS
) -> Iterator[tuple[float, float, Step]]:
    """Send registrations at several rates to one worker.

    Args:
        database: A name of ``DATABASES``.
        candidate: The name of the candidate.
        seconds: How long each rate lasts.
        threads: The threads of a WSGI server.
        loads: The rates, as parts of the capacity.

    Returns:
        For each rate its part of the capacity, the requests per second, and what was seen.
    """
    with ExitStack() as stack:
        core = stack.enter_context(own_core())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(DATABASES[database](folder))("saturated")
        served = stack.enter_context(Served(candidate, url, folder, core, threads))
        check(served.port)
        served.load(200)
        load = served.load(800)
        capacity = len(load.latencies) / load.seconds
        for part in loads:
            before = served.log().count("QueuePool limit")
            outcomes = asyncio.run(_send_at(served.port, capacity * part, seconds))
            recovery = asyncio.run(_recover(served.port))
            yield part, capacity * part, _step(outcomes, recovery, served, before)


def _step(outcomes: list[tuple[str, float]], recovery: float, served: Served, before: int) -> Step:
    kinds = Counter(kind for kind, _ in outcomes)
    latencies = [latency for kind, latency in outcomes if kind == "200"] or [0.0]
    percentiles = [1000 * cut for cut in quantiles(latencies * 2, n=100)]
    pool_timeouts = served.log().count("QueuePool limit") - before
    unanswered = kinds["unanswered"]
    failed = len(outcomes) - kinds["200"] - unanswered
    return Step(
        *(len(outcomes), kinds["200"], failed, unanswered),
        *(percentiles[49], percentiles[98], pool_timeouts, recovery),
    )


async def _send_at(port: int, rate: float, seconds: float) -> list[tuple[str, float]]:
    """Send each request at its time; return the status of its answer and the latency."""
    make, began = registrations(), time.perf_counter()
    tasks = []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0, began + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(_ask(port, make, number)))
    return await asyncio.gather(*tasks)


async def _ask(port: int, make: Callable[[int], bytes], number: int) -> tuple[str, float]:
    began = time.perf_counter()
    sent = make(number).replace(b"\r\nHost:", b"\r\nConnection: close\r\nHost:", 1)
    try:
        answer = await asyncio.wait_for(_exchange(port, sent), PATIENCE)
    except (OSError, asyncio.TimeoutError):
        answer = b""
    status = answer.split(None, 2)[1].decode() if answer else "unanswered"
    return status, time.perf_counter() - began


async def _exchange(port: int, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(sent)
        return await reader.read()
    finally:
        writer.close()


async def _recover(port: int) -> float:
    """Return the seconds until a request is answered quickly again."""
    make, began = registrations(), time.perf_counter()
    for number in range(_PROBES):
        status, latency = await _ask(port, make, number)
        if status == "200" and latency < _RECOVERED:
            break
    return time.perf_counter() - began - latency


def header() -> str:
    """Return the names of the columns."""
    outcomes = ("sent", "200", "10005", "unanswered", "p50 ms", "p99 ms", "pool time-outs", "recovery s")
    return "".join(f"{name:>15}" for name in ("rate/s", "of capacity", *outcomes))


def line(part: float, rate: float, step: Step) -> str:
    """Return what was seen at one rate, as text."""
    shares = [step.sent, step.bound, step.failed, step.unanswered]
    numbers = [f"{rate:.0f}", f"{part:.1f}", *map(str, shares), f"{step.p50_ms:.0f}", f"{step.p99_ms:.0f}"]
    return "".join(f"{text:>15}" for text in (*numbers, str(step.pool_timeouts), f"{step.recovery:.1f}"))
