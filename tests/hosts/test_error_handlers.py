"""Error handlers and hooks for everything: our answers and the pages of the host stay as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from werkzeug.exceptions import TooManyRequests
from werkzeug.test import TestResponse

from flask_aegis_machines._endpoint_definitions import REGISTER
from tests.support.hostile_host import (
    DATA,
    STATUSES,
    Machine,
    Register,
    Visit,
    assert_own_page,
    db,
    hostile_app,
)
from tests.support.hosts import REGISTER_PATH, SECOND, assert_answer, authorization, example

CODES = [answer.code for answer in REGISTER.answers]
MODES = [
    None,
    *("TESTING", "DEBUG", "PROPAGATE_EXCEPTIONS", "TRAP_HTTP_EXCEPTIONS", "TRAP_BAD_REQUEST_ERRORS"),
]
# What makes of the documented example a request that gets the code; the others need more than a request.
CHANGES: dict[str, dict[str, Any]] = {
    "10002": {"user_AegisSpeed_id": "short"},
    "10006": {"user_AegisSpeed_id": SECOND.aegisspeed_id},
    "10400": {"machine_cpu": "\n"},
    "10401": {"headers": {}},
    "10413": {"json": {"machine_cpu": "x" * 17000}},
    "10415": {"data": b"{}", "content_type": "text/plain"},
    "10429": {"headers": {"X-Over-Limit": "yes"}},
}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """The hostile host."""
    with hostile_app(tmp_path) as app:
        yield app


def provoke(app: Flask, register: Register, code: str) -> TestResponse:
    """Get the answer that has this code."""
    if code == "10001":
        app.config["AEGIS_MACHINES_REGISTER_OPEN"] = False
    if code == "10003":
        return register(headers=authorization(app, "3"))
    if code == "10004":
        register()
    if code == "10005":
        Machine.__table__.drop(db.engine)
    return register(**CHANGES.get(code, {}))


class TestHandlersAndHooks:
    """Error handlers for everything, hooks around everything."""

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("code", CODES)
    def test_every_answer_keeps_its_envelope(
        self, app: Flask, register: Register, code: str, mode: str | None
    ) -> None:
        """No handler and no way of running the app changes an answer, and the host's rows stay pending."""
        if mode is not None:
            app.config[mode] = True
        answer = provoke(app, register, code)
        assert_answer(answer, code, **DATA.get(code, {}))
        assert answer.headers["X-Host"] == f"visit {2 if code == '10004' else 1}, 1 pending"
        assert answer.headers.get("Retry-After") == ("7" if code == "10429" else None)

    @pytest.mark.parametrize("mode", MODES)
    def test_every_page_of_the_host_stays_its_own(
        self, app: Flask, client: FlaskClient, mode: str | None
    ) -> None:
        """Its own errors, and a wrong URL or method on our paths, show its own pages."""
        if mode is not None:
            app.config[mode] = True
        for status in STATUSES:
            assert_own_page(client.get(f"/own/{status}"), status)
        assert_own_page(client.get(REGISTER_PATH), 405)
        assert_own_page(client.post(REGISTER_PATH.rpartition("/")[0]), 404)

    @pytest.mark.parametrize("read", ["get_json", "get_data"])
    @pytest.mark.parametrize("code", CODES)
    def test_a_body_that_a_hook_has_read_is_answered_alike(
        self, app: Flask, register: Register, code: str, read: str
    ) -> None:
        """Whatever the host looks at first, each answer is the same."""
        how = {"silent": True} if read == "get_json" else {}
        app.before_request(lambda: getattr(request, read)(**how) and None)
        assert_answer(provoke(app, register, code), code, **DATA.get(code, {}))

    def test_a_small_limit_of_the_host_is_our_413(
        self, app: Flask, client: FlaskClient, register: Register
    ) -> None:
        """MAX_CONTENT_LENGTH is answered in the envelope on our path, and by the host's page on its own."""

        @app.post("/upload")
        def upload() -> bytes:
            return request.get_data()

        app.config["MAX_CONTENT_LENGTH"] = 100
        assert_answer(register(), "10413")
        assert_own_page(client.post("/upload", data=b"x" * 101), 413)

    def test_the_host_s_sessions_go_on(self, app: Flask, token: str) -> None:
        """Cookies count on from request to request, and every row of the hooks is stored once."""
        client = app.test_client()
        headers = {"Authorization": f"Bearer {token}"}
        answers = [client.post(REGISTER_PATH, json=example(), headers=headers) for _ in range(3)]
        assert [answer.json["code"] for answer in answers] == ["10000", "10004", "10004"]
        visits = [answer.headers["X-Host"] for answer in answers]
        assert visits == [f"visit {number}, 1 pending" for number in (1, 2, 3)]
        with app.app_context():
            paths = Counter(path for (path,) in db.session.query(Visit.path))
        assert paths == {REGISTER_PATH: 3, "left": 3}

    def test_a_handler_by_class_changes_no_10429(
        self, app: Flask, client: FlaskClient, register: Register
    ) -> None:
        """The host's handler for a limiter's own class wins on its pages, and on our path ours does."""

        class Throttled(TooManyRequests):
            pass

        @app.before_request
        def limit() -> NoReturn:
            raise Throttled

        app.register_error_handler(Throttled, lambda error: ("by class", 429))
        assert_answer(register(), "10429")
        assert client.get("/own/404").text == "by class"

    def test_no_context_need_be_pushed(self, app: Flask, register: Register) -> None:
        """A request in a bare thread is answered like those within the context that pytest-flask pushes."""
        headers = authorization(app, "1")
        with ThreadPoolExecutor(1) as thread:
            bare = thread.submit(app.test_client().post, REGISTER_PATH, json=example(), headers=headers)
            bound = {"machine_code": example()["machine_code"], "user_id": DATA["10000"]["user_id"]}
            assert_answer(bare.result(), "10000", **bound)
        assert_answer(register(machine_code=example()["machine_code"]), "10004")

    def test_rows_of_a_pushed_context_stay_pending(self, register: Register) -> None:
        """What a test added to the session that it shares with the request is not flushed by ours."""
        db.session.add(Visit(path="test"))
        answer = register()
        assert_answer(answer, "10000", **DATA["10000"])
        assert answer.headers["X-Host"] == "visit 1, 2 pending"
