"""The load generator, a program of its own: threads that send requests, each over one connection.

It prints, as JSON, the seconds that it took and the latency of each request.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from flask_aegis_machines._endpoint_definitions import GET, VERIFY

from .connection import Connection, request
from .contract import BOUND_CODE, USERS, document, token

_CODE = b"0" * 32


def registrations() -> Callable[[int], bytes]:
    """Return a maker of registrations, of one user after the other."""
    users = range(1, USERS + 1)
    templates = [request(document(user, _CODE.decode()), token(user)) for user in users]
    return lambda number: templates[number % USERS].replace(_CODE, uuid.uuid4().hex.encode())


def always(sent: bytes) -> Callable[[int], bytes]:
    """Return a maker of the same request."""
    return lambda number: sent


def maker(kind: str, code: str) -> Callable[[int], bytes]:
    """Return a maker of requests.

    Args:
        kind: ``register`` for fresh machines; ``taken`` for a machine of the first user's; ``page`` for the
            page of the first user's list after a code; ``check`` for the check of a code.
        code: That code.
    """
    if kind == "register":
        return registrations()
    if kind == "taken":
        return always(request(document(2, BOUND_CODE), token(2)))
    user = {"user_AegisSpeed_id": "ASD000001"}
    if kind == "page":
        return always(request({**user, "after": code}, token(1), GET.path))
    return always(request({**user, "machine_code": code}, token(1), VERIFY.path))


def main(port: int, clients: int, requests: int, kind: str, code: str) -> None:
    """Send the requests; fail unless each is answered as it should be."""
    make, expected = maker(kind, code), 409 if kind == "taken" else 200
    connections = [Connection(port) for _ in range(clients)]

    def run(connection: Connection) -> list[float]:
        latencies = []
        for number in range(requests // clients):
            sent = make(number)
            began = time.perf_counter()
            status, body = connection.send(sent)
            latencies.append(time.perf_counter() - began)
            if status != expected:
                raise AssertionError(f"answered {status} {body!r}")
        return latencies

    with ThreadPoolExecutor(clients) as threads:
        began = time.perf_counter()
        runs = list(threads.map(run, connections))
        seconds = time.perf_counter() - began
    latencies = [latency for run in runs for latency in run]
    json.dump({"seconds": seconds, "latencies": latencies}, sys.stdout)


if __name__ == "__main__":
    _, port, clients, requests, kind, code = sys.argv
    main(int(port), int(clients), int(requests), kind, code)
