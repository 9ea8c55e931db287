"""Flask-WTF and Flask-Limiter: where their refusals are the host's pages, and where they are our answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.servers import require_module
from tests.support.hostile_host import DATA, Register, assert_own_page, hostile_app
from tests.support.hosts import assert_answer

if TYPE_CHECKING:
    from flask_limiter import Limiter
    from flask_wtf import CSRFProtect


ENDPOINT = "aegis_machines.register_machine_info_by_aegisspeed_id"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """The hostile host."""
    with hostile_app(tmp_path) as app:
        yield app


class TestCsrf:
    """Flask-WTF checks every POST of the app."""

    @pytest.fixture
    def csrf(self, app: Flask) -> CSRFProtect:
        require_module("flask_wtf", "Flask-WTF")
        from flask_wtf import CSRFProtect

        return CSRFProtect(app)

    def test_without_an_exemption_the_host_answers(self, csrf: CSRFProtect, register: Register) -> None:
        """The check comes before the view, so its refusal is the host's page."""
        assert_own_page(register(), 400)

    @pytest.mark.parametrize("kind", ["blueprint", "view", "name"])
    def test_an_exemption_leads_to_our_answers(
        self, app: Flask, csrf: CSRFProtect, client: FlaskClient, register: Register, kind: str
    ) -> None:
        """Each way to exempt that Flask-WTF knows reaches us, and nothing else."""
        view = app.view_functions[ENDPOINT]
        name = "flask_aegis_machines.blueprint.register_machine_info_by_aegisspeed_id"
        csrf.exempt({"blueprint": app.blueprints["aegis_machines"], "view": view, "name": name}[kind])
        app.add_url_rule("/form", view_func=lambda: "sent", methods=["POST"])
        assert_answer(register(), "10000", **DATA["10000"])
        assert_answer(register(headers={}), "10401")
        assert_own_page(client.post("/form"), 400)


class TestLimiter:
    """Flask-Limiter counts the requests, in a window that moves so that no minute ends within a test."""

    @pytest.fixture
    def make_limiter(self, app: Flask) -> Callable[..., Limiter]:
        require_module("flask_limiter", "Flask-Limiter")
        from flask_limiter import Limiter
        from flask_limiter.util import get_remote_address

        def make(**options: Any) -> Limiter:
            where = {"storage_uri": "memory://", "strategy": "moving-window"}
            return Limiter(get_remote_address, app=app, headers_enabled=True, **where, **options)

        return make

    @staticmethod
    def assert_limited(answer: TestResponse) -> None:
        """Assert that the limiter's headers are there, each once."""
        assert answer.headers.getlist("X-RateLimit-Limit") == ["2"]
        assert answer.headers.getlist("X-RateLimit-Remaining") == ["0"]
        (retry_after,) = answer.headers.getlist("Retry-After")
        assert 0 < int(retry_after) <= 60
        assert "X-RateLimit-Reset" in answer.headers

    def test_a_limit_on_the_blueprint_is_10429(
        self, app: Flask, make_limiter: Callable[..., Limiter], client: FlaskClient, register: Register
    ) -> None:
        """The third request gets our envelope with the limiter's headers, and the host's page its own 429."""
        limiter = make_limiter()
        limiter.limit("2/minute")(app.blueprints["aegis_machines"])
        app.add_url_rule("/page", view_func=limiter.limit("2/minute")(lambda: "page"), endpoint="page")
        assert_answer(register(), "10000", **DATA["10000"])
        assert_answer(register(), "10004")
        limited = register()
        assert_answer(limited, "10429")
        self.assert_limited(limited)
        assert [client.get("/page").text for _ in range(2)] == ["page", "page"]
        theirs = client.get("/page")
        assert_own_page(theirs, 429)
        self.assert_limited(theirs)

    def test_a_limit_of_the_app_is_10429_on_our_path(
        self, make_limiter: Callable[..., Limiter], client: FlaskClient, register: Register
    ) -> None:
        """``default_limits`` count on our path too, and answer there in our envelope."""
        make_limiter(default_limits=["2/minute"])
        assert [register().status_code, register().status_code] == [200, 409]
        limited = register()
        assert_answer(limited, "10429")
        self.assert_limited(limited)
        for status in (404, 404, 429):
            assert_own_page(client.get("/own/404"), status)
