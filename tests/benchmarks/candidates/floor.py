"""The least that the endpoint can be: no framework, no ORM, two statements. It shows what is left to gain."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

import jwt
import pymysql
from psycopg_pool import ConnectionPool

from flask_aegis_machines._answers import (
    INVALID_REQUEST,
    MISMATCH,
    NO_USER,
    REGISTERED,
    TAKEN,
    UNAUTHORIZED,
    Answer,
)
from flask_aegis_machines._endpoint_definitions import REGISTER
from flask_aegis_machines._records import MACHINE_FIELDS
from flask_aegis_machines._redaction import redact
from tests.benchmarks.contract import DATABASE_VARIABLE, SECRET, envelope

if TYPE_CHECKING:  # Python has it from 3.11 on
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

LENGTHS = {"user_AegisSpeed_id": (9, 9), **dict.fromkeys(MACHINE_FIELDS, (1, 255)), "machine_code": (32, 32)}
COLUMNS = (*MACHINE_FIELDS, "user_id", "registered_at", "attempt")
ON_CONFLICT = " ON CONFLICT DO NOTHING"
SELECT = 'SELECT id, aegisspeed_id, id_number FROM "user" WHERE id = %s'
INSERT = (
    f"INSERT INTO machine ({', '.join(COLUMNS)}) VALUES ({', '.join(['%s'] * len(COLUMNS))}){ON_CONFLICT}"
)
NOTHING_STORED = SimpleNamespace(rowcount=0)

#: Executes a statement in a transaction of its own; returns the cursor.
Execute: TypeAlias = Callable[[str, tuple[Any, ...]], Any]


def create_app() -> WSGIApplication:
    """Build the app."""
    url = os.environ[DATABASE_VARIABLE]
    on = {"sqlite": on_sqlite, "mysql": on_mysql, "postgresql": on_postgresql}
    execute = next(make(url) for name, make in on.items() if url.startswith(name))

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer, data = register(environ, execute)
        body = json.dumps(envelope(answer, data)).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response(f"{answer.status} {answer.result}", headers)
        return [body]

    return app


def on_postgresql(url: str) -> Execute:
    pool = ConnectionPool(url.replace("+psycopg", ""), min_size=4, kwargs={"autocommit": True}, open=True)

    def execute(statement: str, values: tuple[Any, ...]) -> Any:
        with pool.connection() as connection:
            return connection.execute(statement, values)

    return execute


def on_mysql(url: str) -> Execute:
    address = urlsplit(url)
    local = threading.local()

    def execute(statement: str, values: tuple[Any, ...]) -> Any:
        if not hasattr(local, "cursor"):
            server: dict[str, Any] = {"host": address.hostname, "port": address.port}
            account: dict[str, Any] = {"user": address.username, "database": address.path[1:]}
            local.cursor = pymysql.connect(**server, **account, autocommit=True).cursor()
        try:
            # MariaDB has other quotes, and timestamps without an offset.
            texts = [str(value).removesuffix("+00:00") for value in values]
            local.cursor.execute(statement.replace('"', "`").replace(ON_CONFLICT, ""), texts)
        except pymysql.err.IntegrityError:
            return NOTHING_STORED
        return local.cursor

    return execute


def on_sqlite(url: str) -> Execute:
    path = url.removeprefix("sqlite:///")
    local = threading.local()

    def execute(statement: str, values: tuple[Any, ...]) -> Any:
        if not hasattr(local, "connection"):
            local.connection = sqlite3.connect(path, isolation_level=None)
        return local.connection.execute(statement.replace("%s", "?"), values)

    return execute


def register(environ: WSGIEnvironment, execute: Execute) -> tuple[Answer, dict[str, Any]]:
    assert (environ["REQUEST_METHOD"], environ["PATH_INFO"]) == ("POST", REGISTER.path)
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    try:
        claims = jwt.decode(token, SECRET, algorithms=["HS256"])
    except jwt.InvalidTokenError:
        return UNAUTHORIZED, {}
    if scheme != "Bearer" or claims["type"] != "access":
        return UNAUTHORIZED, {}
    fields = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    errors = {name: ["has the wrong length"] for name in LENGTHS if not fits(name, fields.get(name))}
    if errors:
        return INVALID_REQUEST, {"errors": errors}
    user = execute(SELECT, (int(claims["sub"]),)).fetchone()
    if user is None:
        return NO_USER, {}
    key, aegisspeed_id, id_number = user
    if aegisspeed_id != fields["user_AegisSpeed_id"]:
        return MISMATCH, {}
    now = datetime.now(timezone.utc).isoformat(" ")
    values = (*(fields[name] for name in MACHINE_FIELDS), key, now, uuid.uuid4().hex)
    if execute(INSERT, values).rowcount == 0:
        return TAKEN, {}
    return REGISTERED, {"machine_code": fields["machine_code"], "user_id": redact(id_number)}


def fits(name: str, value: object) -> bool:
    shortest, longest = LENGTHS[name]
    return isinstance(value, str) and shortest <= len(value) <= longest
