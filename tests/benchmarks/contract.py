"""What is asked of every candidate, and what it has to answer."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import jwt

from flask_aegis_machines._answers import (
    INVALID_REQUEST,
    MISMATCH,
    REGISTERED,
    TAKEN,
    UNAUTHORIZED,
    Answer,
)
from flask_aegis_machines._records import MACHINE_FIELDS
from flask_aegis_machines.testing import make_machine

from .connection import Connection, request

USERS = 1000
SECRET = "a secret of the benchmarks, of more than 32 bytes"
#: A code that is bound in each database.
BOUND_CODE = uuid.uuid5(uuid.NAMESPACE_URL, "bound").hex
DATABASE_VARIABLE = "BENCHMARK_DATABASE"


def user_row(number: int) -> dict[str, Any]:
    """Return a user's row in the table that all candidates read."""
    return {"id": number, "aegisspeed_id": f"ASD{number:06}", "id_number": f"11010119900307{number:04}"}


def token(number: int) -> str:
    """Return an access token of a user, as Flask-JWT-Extended makes them."""
    now = int(time.time())
    claims = {"sub": str(number), "iat": now, "nbf": now, "exp": now + 86400, "jti": str(uuid.uuid4())}
    return jwt.encode({**claims, "type": "access", "fresh": False}, SECRET, algorithm="HS256")


def document(number: int, machine_code: str) -> dict[str, str]:
    """Return the request example of the API document, with another user and another code."""
    machine = make_machine(machine_code)
    facts = {name: getattr(machine, name) for name in MACHINE_FIELDS}
    return {"user_AegisSpeed_id": f"ASD{number:06}", **facts}


def envelope(answer: Answer, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the body of an answer."""
    return {**answer._asdict(), "data": data or {}}


def check(port: int) -> None:
    """Require the same statuses and bodies of whichever candidate listens.

    It binds one code, and ``BOUND_CODE`` where that is free.
    """
    code = uuid.uuid4().hex
    mine = document(1, code)
    registered = envelope(REGISTERED, {"machine_code": code, "user_id": "110***********0001"})
    ill_formed = {**document(1, uuid.uuid4().hex), "machine_cpu": "x" * 256}
    cases: list[tuple[str | None, dict[str, str], dict[str, Any]]] = [
        (token(1), mine, registered),
        (token(1), mine, envelope(TAKEN)),
        (token(2), document(2, code), envelope(TAKEN)),
        (token(1), ill_formed, envelope(INVALID_REQUEST, {"errors": {"machine_cpu": ["message"]}})),
        (None, document(1, uuid.uuid4().hex), envelope(UNAUTHORIZED)),
        (token(1), document(2, uuid.uuid4().hex), envelope(MISMATCH)),
    ]
    with closing(Connection(port)) as connection:
        connection.ask(request(document(1, BOUND_CODE), token(1)))  # at the second check it is bound already
        for bearer, body, expected in cases:
            status, answer = connection.ask(request(body, bearer))
            # What is wrong with a field is told in each library's own words.
            for messages in answer["data"].get("errors", {}).values():
                messages[:] = ["message"] if messages and all(messages) else messages
            if (status, answer) != (expected["status"], expected):
                raise AssertionError(f"answered {status} {answer}, not {expected}")
