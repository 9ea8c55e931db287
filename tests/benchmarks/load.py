"""The load generator, a program of its own: threads that send requests, each over one connection.

Each registers fresh machines or, where a machine code is given, reads the page of the first user's list after
that code. It prints, as JSON, the seconds that it took and the latency of each request.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from flask_aegis_machines._endpoints import GET

from .connection import Connection, request
from .contract import USERS, document, token

_CODE = b"0" * 32


def registrations() -> Callable[[int], bytes]:
    """Return a maker of registrations, of one user after the other."""
    users = range(1, USERS + 1)
    templates = [request(document(user, _CODE.decode()), token(user)) for user in users]
    return lambda number: templates[number % USERS].replace(_CODE, uuid.uuid4().hex.encode())


def pages(after: str) -> Callable[[int], bytes]:
    """Return a maker of requests for one page."""
    sent = request({"user_AegisSpeed_id": "ASD000001", "after": after}, token(1), GET.path)
    return lambda number: sent


def main(port: int, clients: int, requests: int, make: Callable[[int], bytes]) -> None:
    """Send the requests; fail unless each is answered with 200."""
    connections = [Connection(port) for _ in range(clients)]

    def run(connection: Connection) -> list[float]:
        latencies = []
        for number in range(requests // clients):
            sent = make(number)
            began = time.perf_counter()
            status, body = connection.send(sent)
            latencies.append(time.perf_counter() - began)
            if status != 200:
                raise AssertionError(f"answered {status} {body!r}")
        return latencies

    with ThreadPoolExecutor(clients) as threads:
        began = time.perf_counter()
        runs = list(threads.map(run, connections))
        seconds = time.perf_counter() - began
    latencies = [latency for run in runs for latency in run]
    json.dump({"seconds": seconds, "latencies": latencies}, sys.stdout)


if __name__ == "__main__":
    _, port, clients, requests, *after = sys.argv
    main(int(port), int(clients), int(requests), pages(*after) if after else registrations())
