"""Every answer of the registration, and the order of its checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from werkzeug.exceptions import TooManyRequests
from werkzeug.test import TestResponse

from flask_aegis_machines import UserNotFound
from flask_aegis_machines.stores.memory import MemoryMachineStore
from tests.support.hosts import (
    FIRST,
    REGISTER_PATH,
    SECOND,
    BrokenStore,
    assert_answer,
    authorization,
    envelope,
    example,
    mount,
    post_with_wrongs,
)

Register = Callable[..., TestResponse]


class TestAnswers:
    """Each documented answer, and each of those that the document is silent about."""

    def test_10000_and_10004(self, app: Flask, register: Register, machines: MemoryMachineStore) -> None:
        """The documented example is bound once; sent again it is taken, for its owner and for others."""
        code = "abcd1234efgh5678ijkl9012mnop3456"
        assert_answer(register(), "10000", machine_code=code, user_id="110***********1234")
        assert_answer(register(), "10004")
        other = register(headers=authorization(app, "2"), user_AegisSpeed_id="ASD000002")
        assert_answer(other, "10004")
        assert [machine.machine_code for machine in machines.list_for(FIRST)] == [code]
        assert machines.list_for(SECOND) == []

    def test_a_machine_is_stored_as_it_was_sent(
        self, register: Register, machines: MemoryMachineStore, document: dict[str, Any]
    ) -> None:
        """Every documented field reaches the store, and a field that nobody knows does not."""
        register(tpm_key="unknown")
        (stored,) = machines.list_for(FIRST)
        facts = {name: value for name, value in vars(stored).items() if name != "registered_at"}
        assert {"user_AegisSpeed_id": "ASD000001", **facts} == document

    @pytest.mark.parametrize("is_open", [False, lambda: False])
    def test_10001(
        self,
        app: Flask,
        client: FlaskClient,
        register: Register,
        is_open: object,
        machines: MemoryMachineStore,
    ) -> None:
        """A closed endpoint is closed before token or body are looked at, and opens without a restart."""
        app.config["AEGIS_MACHINES_REGISTER_OPEN"] = is_open
        assert_answer(client.post(REGISTER_PATH, data="no JSON"), "10001")
        assert_answer(register(), "10001")
        assert machines.owner_of("abcd1234efgh5678ijkl9012mnop3456") is None
        app.config["AEGIS_MACHINES_REGISTER_OPEN"] = True
        assert register().status_code == 200

    def test_10002(self, register: Register) -> None:
        """An ill-formed AegisSpeed ID has its own code."""
        assert_answer(register(user_AegisSpeed_id="ASD00001"), "10002")

    def test_10003(self, app: Flask, register: Register) -> None:
        """A token that outlived its user is "no such user"."""
        assert_answer(register(headers=authorization(app, "3")), "10003")

    def test_10005(self) -> None:
        """A store that fails is an internal error, in the envelope."""
        client = mount(BrokenStore(RuntimeError())).test_client()
        assert_answer(client.post(REGISTER_PATH, json=example()), "10005")

    @pytest.mark.parametrize("asked_for", ["ASD000002", "ASD999999"])
    def test_10006(self, register: Register, asked_for: str) -> None:
        """A stranger's ID is refused alike whether or not it exists."""
        assert_answer(register(user_AegisSpeed_id=asked_for), "10006")

    def test_10400(self, register: Register, machines: MemoryMachineStore) -> None:
        """A bad field is named, its value is not echoed, and nothing is stored."""
        answer = register(machine_cpu="secret\x00cpu")
        message = "must be at most 255 characters, without control characters"
        assert_answer(answer, "10400", errors={"machine_cpu": [message]})
        assert b"secret" not in answer.data
        assert machines.list_for(FIRST) == []

    @pytest.mark.parametrize("value", [{}, {"Authorization": ""}, {"Authorization": "Basic YTpi"}])
    def test_10401(self, register: Register, value: dict[str, str]) -> None:
        """Without a token there is a challenge, and no look at the body."""
        answer = register(headers=value, data=b"no JSON")
        assert_answer(answer, "10401")
        assert answer.headers["WWW-Authenticate"] == "Bearer"

    @pytest.mark.parametrize(
        ("changes", "code"),
        [({"content_type": "text/plain", "data": b"{}"}, "10415"), ({"json": {"a": "x" * 17000}}, "10413")],
    )
    def test_10413_and_10415(self, register: Register, changes: dict[str, Any], code: str) -> None:
        """What the body's reader refuses is in the envelope."""
        assert_answer(register(**changes), code)

    def test_10429(self, app: Flask, register: Register) -> None:
        """A limiter of the host's that says no on our path keeps its headers and gets our envelope."""

        def limit() -> NoReturn:
            raise TooManyRequests(retry_after=7, response=None)

        app.before_request(limit)
        answer = register()
        assert_answer(answer, "10429")
        assert answer.headers["Retry-After"] == "7"
        assert answer.headers.getlist("Content-Type") == ["application/json"]

    def test_a_limiter_s_own_response_keeps_its_headers(self, app: Flask, register: Register) -> None:
        """A limiter that brings its own response loses only its body."""
        ready = Response("slow down", 429, {"X-RateLimit-Limit": "5"}, mimetype="text/plain")
        ready.headers.update({"Content-Encoding": "gzip", "Content-Security-Policy": "sandbox"})
        ready.headers.extend([("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
        error = TooManyRequests(response=ready)

        def limit() -> NoReturn:
            raise error

        app.before_request(limit)
        answer = register()
        assert_answer(answer, "10429")
        assert answer.headers["X-RateLimit-Limit"] == "5"
        assert answer.headers.getlist("Set-Cookie") == ["a=1", "b=2"]
        assert answer.headers["Content-Security-Policy"] == "sandbox"
        assert "Content-Encoding" not in answer.headers


class TestOrder:
    """Where several things are wrong, the answer is that of the first check in the documented order."""

    # Each entry is wrong in its own way; an earlier one must win over every later one.
    WRONGS = ("10001", "10401", "10415", "10413", "10400 body", "10002", "10400", "10003", "10006", "10004")

    @pytest.mark.parametrize("first", range(len(WRONGS)))
    def test_the_first_wrong_thing_is_answered(self, app: Flask, client: FlaskClient, first: int) -> None:
        """Everything from ``first`` on is wrong at once, as far as it can be."""
        wrong = set(self.WRONGS[first:])
        document = example()
        taken = client.post(REGISTER_PATH, json=document, headers=authorization(app, "1"))
        assert taken.status_code == 200
        app.config["AEGIS_MACHINES_REGISTER_OPEN"] = "10001" not in wrong
        identity = "3" if "10003" in wrong else "1"
        headers = {} if "10401" in wrong else authorization(app, identity)
        if "10006" in wrong:
            document["user_AegisSpeed_id"] = "ASD000002"
        if "10400" in wrong:
            document["machine_cpu"] = "\n"
        if "10002" in wrong:
            document["user_AegisSpeed_id"] = ""
        answer = post_with_wrongs(client, REGISTER_PATH, document, headers, wrong)
        assert answer.json is not None
        assert answer.json["code"] == self.WRONGS[first][:5]

    def test_a_missing_user_is_reported_after_the_body_checks(self) -> None:
        """10003 comes after the body's checks also where the look-up was made with the token."""

        def authenticate() -> NoReturn:
            raise UserNotFound

        client = mount(MemoryMachineStore(), authenticate).test_client()
        assert_answer(client.post(REGISTER_PATH, json=example()), "10003")
        assert_answer(client.post(REGISTER_PATH, json={}), "10002")


class TestRepetition:
    """``AEGIS_MACHINES_REPEAT_BY_OWNER``."""

    def test_a_repeated_registration_succeeds_for_the_owner(
        self, app: Flask, register: Register, machines: MemoryMachineStore
    ) -> None:
        """For clients that lose answers; a stranger is refused all the same, and nothing more is stored."""
        app.config["AEGIS_MACHINES_REPEAT_BY_OWNER"] = True
        assert [register().json, register().json] == [
            envelope("10000", machine_code="abcd1234efgh5678ijkl9012mnop3456", user_id="110***********1234")
        ] * 2
        stranger = register(headers=authorization(app, "2"), user_AegisSpeed_id="ASD000002")
        assert_answer(stranger, "10004")
        assert len(machines.list_for(FIRST)) == 1
