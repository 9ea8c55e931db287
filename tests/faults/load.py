"""Clients that contend for codes until they are stopped."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.servers import WebServer

from .history import UNANSWERED, Operation
from .serving import Client, log_in

CLIENTS = 16


class Load:
    """Sixteen clients of two users, over all servers of one app.

    Half of the requests are for a small pool of codes that moves on, half for codes of their own. A request
    that stays unanswered or is answered 10005 is often repeated, as clients do.
    """

    def __init__(self, servers: Sequence[WebServer]) -> None:
        self._servers = servers
        self._tokens = {user: log_in(servers[0], user) for user in (1, 2)}
        self._stop = threading.Event()
        self._done = 0
        self._threads = ThreadPoolExecutor(CLIENTS)
        self._runs = [self._threads.submit(self._run, number) for number in range(CLIENTS)]

    @property
    def operations(self) -> int:
        """About how many operations are done."""
        return self._done

    def stop(self) -> None:
        """Let each client end after the request that it is in."""
        self._stop.set()

    def finish(self) -> list[Operation]:
        """Stop the clients; return everything that they did."""
        self.stop()
        with self._threads:
            return [operation for run in self._runs for operation in run.result()]

    def _run(self, number: int) -> list[Operation]:
        clients = [Client(server.port) for server in self._servers]
        history: list[Operation] = []
        again = ""
        while not self._stop.is_set():
            user = number % 2 + 1
            shared = f"{'shared':-<24}{self._done // 24 + random.randrange(4):08}"
            unique = f"{f'own-{number}':-<24}{len(history):08}"
            code = again or random.choice([shared, unique])
            operation = random.choice(clients).register(user, code, self._tokens[user])
            history.append(operation)
            self._done += 1
            again = code if operation.outcome in {UNANSWERED, "10005"} and random.random() < 0.7 else ""
        for client in clients:
            client.close()
        return history


def outcomes(history: Sequence[Operation]) -> str:
    """Return how often each outcome came, for people to read."""
    counted = Counter(operation.outcome for operation in history)
    return ", ".join(f"{number} of {outcome}" for outcome, number in sorted(counted.items()))
