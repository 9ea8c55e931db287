"""Servers that are no plain threads: gevent, a host with async views, and ASGI."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from flask_aegis_machines._body import MAX_BYTES
from flask_aegis_machines._redaction import redact
from flask_aegis_machines.stores.memory import MemoryMachineStore
from tests.faults.history import Operation, violations
from tests.faults.serving import Client, Gunicorn, bound, log_in
from tests.servers import PostgresServer, require_driver, require_module, require_postgres
from tests.servers.web import ROOT
from tests.support.hosts import FIRST, REGISTER_PATH, SECOND, assert_answer, envelope, example, mount

CODES = [f"{number:032}" for number in range(1, 6)]
CLIENTS = 40

# As a team does it: everything is patched before the app and its driver are imported.
GEVENT = """
from gevent import monkey

monkey.patch_all()
worker_class = "gevent"
"""

GREENLETS = """
from gevent import monkey

monkey.patch_all()

import gevent
from flask import json, request

from flask_aegis_machines.stores.memory import MemoryMachineStore
from tests.support.hosts import REGISTER_PATH, example, mount


def authenticate():
    gevent.sleep(0.01)
    return request.headers["X-User"]


def ask(number):
    user, code = number % 2 + 1, f"{number % 5 + 1:032}"
    document = {**example(), "user_AegisSpeed_id": f"ASD00000{user}", "machine_code": code}
    answer = app.test_client().post(REGISTER_PATH, json=document, headers={"X-User": str(user)})
    return user, code, answer.json


app = mount(MemoryMachineStore(), authenticate)
jobs = [gevent.spawn(ask, number) for number in range(50)]
gevent.joinall(jobs, raise_error=True)
print(json.dumps([job.value for job in jobs]))
"""


@pytest.mark.clusters  # for its time
class TestGevent:
    """Greenlets in place of threads, in gunicorn's workers and in a process of its own."""

    @pytest.fixture(autouse=True)
    def _gevent(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        require_module("gevent", "gevent")
        config = tmp_path / "gunicorn.conf.py"
        config.write_text(GEVENT)
        monkeypatch.setenv("GUNICORN_CMD_ARGS", f"--config={shlex.quote(str(config))}")

    @pytest.fixture
    def postgres(self) -> Iterator[PostgresServer]:
        require_postgres()
        require_driver("psycopg")
        with PostgresServer() as server:
            yield server

    def test_one_owner_on_sqlite(self, tmp_path: Path) -> None:
        """Two users send five codes over 40 connections at once: each code gets one owner."""
        self.contend(f"sqlite:///{tmp_path / 'host.db'}")

    @pytest.mark.clusters
    def test_one_owner_on_postgresql(self, postgres: PostgresServer) -> None:
        """The same with a driver that lets other greenlets run while it waits."""
        self.contend(postgres.url("psycopg"))

    def contend(self, database: str) -> None:
        """Serve an app on a database, let the clients contend, and check answers and rows."""
        with Gunicorn(database) as gunicorn:
            tokens = [log_in(gunicorn, user) for user in (1, 2)]
            start = Barrier(CLIENTS)

            def ask(number: int) -> Operation:
                user, code = number % 2 + 1, CODES[number % len(CODES)]
                with closing(Client(gunicorn.port)) as client:
                    start.wait(30)
                    return client.register(user, code, tokens[user - 1])

            with ThreadPoolExecutor(CLIENTS) as threads:
                history = list(threads.map(ask, range(CLIENTS)))
            assert "Using worker: gevent" in gunicorn.log.read_text()
        rivals = CLIENTS // len(CODES) - 1
        for code in CODES:
            outcomes = Counter(each.outcome for each in history if each.code == code)
            assert outcomes == {"10000": 1, "10004": rivals}
        table = bound(database)
        assert sorted(code for code, _ in table) == CODES
        assert violations(history, table, []) == []

    def test_greenlets_that_meet_within_a_request(self) -> None:
        """Each of 50 requests lets the others run in its middle, and gets its own answer all the same."""
        run = [sys.executable, "-W", "error", "-c", GREENLETS]
        done = subprocess.run(run, check=True, timeout=60, cwd=ROOT, capture_output=True, text=True)
        answers = json.loads(done.stdout)
        assert Counter(answer["code"] for _, _, answer in answers) == {"10000": 5, "10004": 45}
        for user, code, answer in answers:
            redacted = redact((FIRST, SECOND)[user - 1].id_number)
            data = {"machine_code": code, "user_id": redacted} if answer["code"] == "10000" else {}
            assert answer == envelope(answer["code"], **data)


class TestAsync:
    """A host whose own views and hooks are coroutines."""

    def test_async_views_and_hooks_beside_ours(self) -> None:
        """Flask runs each in a loop of its own, and ours without one."""
        require_module("asgiref", "flask[async]")
        app = mount(MemoryMachineStore())
        seen = []

        @app.before_request
        async def look() -> None:
            await asyncio.sleep(0)
            seen.append("looked")

        @app.get("/theirs")
        async def theirs() -> str:
            await asyncio.sleep(0)
            return "theirs"

        client = app.test_client()
        data = {"machine_code": example()["machine_code"], "user_id": "110***********1234"}
        assert_answer(client.post(REGISTER_PATH, json=example()), "10000", **data)
        assert client.get("/theirs").text == "theirs"
        assert_answer(client.post(REGISTER_PATH, json=example()), "10004")
        assert seen == ["looked"] * 3


class TestAsgi:
    """The app behind asgiref's adapter, which runs it in a thread."""

    @pytest.fixture
    def ask(self) -> Callable[..., tuple[int, Any]]:
        """Sends a body in several messages; returns the status and the parsed body of the answer."""
        require_module("asgiref", "asgiref")
        from asgiref.wsgi import WsgiToAsgi

        def ask(app: Any, body: bytes, *headers: tuple[bytes, bytes]) -> tuple[int, Any]:
            parts = [body[start : start + 5000] for start in range(0, len(body), 5000)]
            messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
            messages.append({"type": "http.request"})
            sent: list[dict[str, Any]] = []

            async def receive() -> dict[str, Any]:
                return messages.pop(0)

            async def send(message: dict[str, Any]) -> None:
                sent.append(message)

            scope = {
                "type": "http",
                "http_version": "1.1",
                "method": "POST",
                "path": REGISTER_PATH,
                "query_string": b"",
                "headers": [(b"content-type", b"application/json"), *headers],
            }
            asyncio.run(WsgiToAsgi(app)(scope, receive, send))
            return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent))

        return ask

    def test_answers_are_the_same(self, ask: Callable[..., tuple[int, Any]]) -> None:
        """A machine is bound, and taken from then on."""
        app = mount(MemoryMachineStore())
        body = json.dumps(example()).encode()
        length = (b"content-length", str(len(body)).encode())
        data = {"machine_code": example()["machine_code"], "user_id": "110***********1234"}
        assert ask(app, body, length) == (200, envelope("10000", **data))
        assert ask(app, body, length) == (409, envelope("10004"))

    def test_a_body_in_chunks(self, ask: Callable[..., tuple[int, Any]]) -> None:
        """The adapter does not say that it ends a body of unknown length; where the host does, it is read."""
        app = mount(MemoryMachineStore())

        def ended(environ: dict[str, Any], start_response: Any) -> Any:
            return app({**environ, "wsgi.input_terminated": True}, start_response)

        body = json.dumps(example()).encode()
        assert ask(app, body)[1]["code"] == "10400"
        assert ask(ended, body)[1]["code"] == "10000"
        assert ask(ended, body + b" " * MAX_BYTES) == (413, envelope("10413"))
