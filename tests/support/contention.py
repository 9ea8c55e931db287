"""Two users who contend for machine codes in this process, on a database behind a proxy or a pooler."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor

from flask import Flask, request

from flask_aegis_machines._records import MACHINE_FIELDS
from tests.faults.history import Operation
from tests.support.hosts import REGISTER_PATH

THREADS = 8


def named_user() -> str:
    """Authenticate the user whom the request names."""
    return request.headers["X-User"]


def register(app: Flask, user: int, code: str) -> Operation:
    """Register a machine code for the first or the second user, and record what came of it."""
    document = dict.fromkeys(MACHINE_FIELDS, "x")
    document.update(user_AegisSpeed_id=f"ASD00000{user}", machine_code=code)
    began = time.monotonic()
    answer = app.test_client().post(REGISTER_PATH, json=document, headers={"X-User": str(user)})
    return Operation(user, code, began, time.monotonic(), answer.get_json()["code"])


def contend(app: Flask, seconds: float) -> list[Operation]:
    """Let both users ask for the same codes from eight threads; return everything that they did."""
    end = time.monotonic() + seconds
    numbers = itertools.count(THREADS)

    def ask(thread: int) -> list[Operation]:
        history = []
        while time.monotonic() < end:
            code = f"{'contended':-<16}{next(numbers) // THREADS:016}"
            history.append(register(app, thread % 2 + 1, code))
        return history

    with ThreadPoolExecutor(THREADS) as threads:
        return [operation for history in threads.map(ask, range(THREADS)) for operation in history]
