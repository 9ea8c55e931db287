"""Run the benchmarks: ``python -m tests.benchmarks``, or with the name of one: ``… growth``."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import chart, growth, imports, latency, saturation, speed
from .databases import DATABASES, SERVERS
from .serving import THREADS

parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
parser.add_argument(
    "what", nargs="?", choices=["speed", "latency", "growth", "import", "saturation"], default="speed"
)
parser.add_argument("--quick", action="store_true", help="a small run, whose figures mean nothing")
parser.add_argument("--rounds", type=int, default=20, help="turns of each candidate, or of each size")
parser.add_argument("--requests", type=int, default=1000, help="requests in each turn")
parser.add_argument("--database", choices=DATABASES, action="append", help="only on this one")
parser.add_argument("--chart", type=Path, metavar="FILE.svg", help="speed: draw the results")
parser.add_argument(
    "--release", type=Path, metavar="FOLDER", help="speed: a checkout of another version, measured as well"
)
parser.add_argument("--largest", type=int, default=6, help="growth: up to 10 to the power of this, 7 at most")
parser.add_argument("--memory", type=int, default=200_000, help="growth: requests to one worker")
parser.add_argument("--rows", type=int, default=1_000_000, help="import: machines in the file")
parser.add_argument("--seconds", type=float, default=10, help="saturation: how long each rate lasts")
parser.add_argument("--threads", type=int, default=THREADS, help="saturation: threads of a WSGI server")
parser.add_argument(
    "--candidate", choices=saturation.CANDIDATES, action="append", help="saturation: only this one"
)


def main(arguments: list[str] | None = None) -> None:
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.requests, options.largest, options.memory = 1, 100, 3, 400
        options.rows, options.seconds = 2000, 1
    run = {
        "speed": run_speed,
        "latency": run_latency,
        "growth": run_growth,
        "import": run_import,
        "saturation": run_saturation,
    }
    run[options.what](options)


def run_speed(options: argparse.Namespace) -> None:
    results = {}
    for database in options.database or DATABASES:
        rounds = speed.compare(database, options.rounds, options.requests, options.release)
        results[database] = speed.medians(rounds)
        print(f"\n{database}, {THREADS} clients, the server on a core of its own; ", end="")
        print(f"medians of {options.rounds} rounds of {options.requests} requests:\n")
        print(speed.table(results[database]))
        print(speed.ratios(rounds), flush=True)
        if database == "PostgreSQL":
            for ours, targets in speed.TARGETS.items():
                print(*(target.line(results[database], ours) for target in targets), sep="\n")
    if options.chart:
        chart.draw(results, options.chart)


def run_latency(options: argparse.Namespace) -> None:
    for database in options.database or SERVERS:
        requests = max(options.requests // 20, 5)  # of which each takes up to half a second
        print(f"\n{database}, one client, {requests} requests at each distance, which is one way:\n")
        delays = latency.DELAYS[:1] if options.quick else latency.DELAYS
        print(latency.header(delays), flush=True)
        for name, distance in latency.measure(database, requests, delays):
            print(latency.line(name, distance), flush=True)


def run_growth(options: argparse.Namespace) -> None:
    sizes = [10**power for power in (3, 5, 6, 7) if power <= options.largest]
    for operation, rounds in growth.measure(sizes, options.rounds, options.requests).items():
        print(f"\n{operation}; medians of {options.rounds} rounds of {options.requests} requests:\n")
        print(growth.table(rounds), flush=True)
    print(f"\n{'requests':>10}{'memory of the worker, MiB':>28}")
    for requests, mebibytes in growth.memory(options.memory):
        print(f"{requests:10}{mebibytes:28.1f}", flush=True)


def run_import(options: argparse.Namespace) -> None:
    print(f"\n{options.rows} machines into an empty table:\n\n{imports.header()}", flush=True)
    for database in options.database or DATABASES:
        print(imports.line(database, imports.measure(database, options.rows)), flush=True)


def run_saturation(options: argparse.Namespace) -> None:
    for database in options.database or ["PostgreSQL"]:
        for candidate in options.candidate or saturation.CANDIDATES:
            print(f"\n{candidate} on {database}, one worker, {options.threads} threads:\n")
            print(saturation.header(), flush=True)
            for seen in saturation.measure(database, candidate, options.seconds, options.threads):
                print(saturation.line(*seen), flush=True)


if __name__ == "__main__":
    main()
