"""Run the benchmarks: ``python -m tests.benchmarks`` or ``python -m tests.benchmarks growth``."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import chart, growth, speed
from .databases import DATABASES
from .serving import OURS, THREADS

parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
parser.add_argument("what", nargs="?", choices=["speed", "growth"], default="speed")
parser.add_argument("--quick", action="store_true", help="a small run, whose figures mean nothing")
parser.add_argument("--rounds", type=int, default=20, help="turns of each candidate, or of each size")
parser.add_argument("--requests", type=int, default=1000, help="requests in each turn")
parser.add_argument("--database", choices=DATABASES, action="append", help="speed: only on this one")
parser.add_argument("--chart", type=Path, metavar="FILE.svg", help="speed: draw the results")
parser.add_argument("--largest", type=int, default=6, help="growth: up to 10 to the power of this, 7 at most")
parser.add_argument("--memory", type=int, default=200_000, help="growth: requests to one worker")


def main(arguments: list[str] | None = None) -> None:
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.requests, options.largest, options.memory = 1, 100, 3, 400
    {"speed": run_speed, "growth": run_growth}[options.what](options)


def run_speed(options: argparse.Namespace) -> None:
    results = {}
    for database in options.database or DATABASES:
        results[database] = speed.medians(speed.compare(database, options.rounds, options.requests))
        print(f"\n{database}, {THREADS} clients, the server on a core of its own; ", end="")
        print(f"medians of {options.rounds} rounds of {options.requests} requests:\n")
        print(speed.table(results[database]), flush=True)
        if database == "PostgreSQL":
            for ours in OURS:
                print("", *(target.line(results[database], ours) for target in speed.TARGETS), sep="\n")
    if options.chart:
        chart.draw(results, options.chart)


def run_growth(options: argparse.Namespace) -> None:
    sizes = [10**power for power in (3, 5, 6, 7) if power <= options.largest]
    for operation, rounds in growth.measure(sizes, options.rounds, options.requests).items():
        print(f"\n{operation}; medians of {options.rounds} rounds of {options.requests} requests:\n")
        print(growth.table(rounds), flush=True)
    print(f"\n{'requests':>10}{'memory of the worker, MiB':>28}")
    for requests, mebibytes in growth.memory(options.memory):
        print(f"{requests:10}{mebibytes:28.1f}", flush=True)


if __name__ == "__main__":
    main()
