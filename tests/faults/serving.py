"""Serves the app with gunicorn, as a team would, and talks to it."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import time
from contextlib import closing, suppress
from typing import Any

from sqlalchemy import create_engine, select

from flask_aegis_machines._records import MACHINE_FIELDS
from tests import servers
from tests.servers import WebServer, wait_until
from tests.support.hosts import REGISTER_PATH
from tests.support.models import Machine

from .app import DATABASE_VARIABLE
from .history import UNANSWERED, Operation

APP = "tests.faults.app:create_app()"


class Gunicorn(servers.Gunicorn):
    """Three workers of four threads each.

    The app is loaded before they fork: a worker that starts again needs no database for it.
    """

    workers = 3

    def __init__(self, database: str, app: str = APP) -> None:
        options = ["--preload", f"--workers={self.workers}", "--threads=4", "--timeout=60"]
        super().__init__(app, *options, environment={DATABASE_VARIABLE: database})

    def kill_worker(self) -> None:
        """Kill -9 one of the workers; gunicorn starts another."""
        os.kill(random.choice(self.children), signal.SIGKILL)


class Client:
    """One connection, made again after each failure."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=40)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._connection.close()

    def get(self, path: str) -> dict[str, Any]:
        """Return the JSON object that a GET answers."""
        self._connection.request("GET", path)
        answer: dict[str, Any] = json.loads(self._connection.getresponse().read())
        return answer

    def post(self, path: str, body: dict[str, str], token: str) -> dict[str, str]:
        """Post JSON and return what came back; for what is no JSON, its status and type as ``code``."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        self._connection.request("POST", path, json.dumps(body), headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.headers.get_content_type() != "application/json":
            return {"code": f"{answer.status} {answer.headers.get_content_type()}"}
        parsed: dict[str, str] = json.loads(content)
        return parsed

    def register(self, user: int, code: str, token: str) -> Operation:
        """Register a machine and record what came of it."""
        facts = dict.fromkeys(MACHINE_FIELDS, "x")
        began = time.monotonic()
        try:
            document = {**facts, "user_AegisSpeed_id": f"ASD00000{user}", "machine_code": code}
            outcome = self.post(REGISTER_PATH, document, token)["code"]
        except (OSError, http.client.HTTPException):
            self.close()
            outcome = UNANSWERED
            time.sleep(0.05)
        return Operation(user, code, began, time.monotonic(), outcome)


def log_in(server: WebServer, user: int) -> str:
    """Return a token of the first or the second user; the server may have begun to listen too early."""
    tokens: list[str] = []

    def answered() -> bool:
        with suppress(OSError, http.client.HTTPException), closing(Client(server.port)) as client:
            tokens.append(
                client.post("/login", {"user_AegisSpeed_id": f"ASD00000{user}"}, "")["access_token"]
            )
        return bool(tokens)

    wait_until(answered, 60, "the app to serve", server.log)
    return tokens[0]


def require_whole_pools(server: Gunicorn) -> None:
    """Wait until no worker has a connection of its pool checked out, though nobody asks for anything."""
    checked_out: dict[int, int] = {}

    def whole() -> bool:
        with suppress(OSError, http.client.HTTPException, ValueError), closing(Client(server.port)) as client:
            answer = client.get("/pool")
            checked_out[answer["pid"]] = answer["checked_out"]
        return len(checked_out.keys() & set(server.children)) == server.workers and not any(
            checked_out.values()
        )

    wait_until(whole, 20, "the pools of all workers to be whole", server.log)


def bound(database: str) -> list[tuple[str, int]]:
    """Return every row of the machines' table: the code, and which of the two users owns it."""
    engine = create_engine(database)
    with engine.connect() as connection:
        rows = [
            (code, owner) for code, owner in connection.execute(select(Machine.machine_code, Machine.user_id))
        ]
    engine.dispose()
    return rows
