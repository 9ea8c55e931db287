"""The wire: every answer, the order of the checks, and what the host keeps for itself."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from flask import Flask, Response, got_request_exception, jsonify
from flask.testing import FlaskClient
from flask_jwt_extended import JWTManager
from werkzeug.exceptions import TooManyRequests
from werkzeug.exceptions import Unauthorized as WerkzeugUnauthorized
from werkzeug.test import TestResponse

from flask_aegis_machines import (
    ConfigurationError,
    Unauthorized,
    User,
    UserNotFound,
    create_blueprint,
)
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore
from tests.servers import require_module
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
)

JSON = "application/json"

Register = Callable[..., TestResponse]


class Asynchronous:
    async def __call__(self) -> None:
        """Identify nobody."""


async def asynchronous() -> None:
    """Identify a caller as a host on another framework might."""


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
        """An ill-formed AegisSpeed ID has an answer of its own."""
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
        """A limiter that brings a response of its own loses its body alone."""
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
        body = b"[]" if "10400 body" in wrong else app.json.dumps(document).encode()
        if "10413" in wrong:
            body += b" " * 17000
        content_type = "text/plain" if "10415" in wrong else "application/json"
        answer = client.post(REGISTER_PATH, data=body, content_type=content_type, headers=headers)
        assert answer.json is not None
        assert answer.json["code"] == self.WRONGS[first][:5]

    def test_a_user_whom_the_token_library_misses_has_its_turn(self) -> None:
        """10003 comes after the body's checks also where the look-up was made with the token."""

        def authenticate() -> NoReturn:
            raise UserNotFound

        client = mount(MemoryMachineStore(), authenticate).test_client()
        assert_answer(client.post(REGISTER_PATH, json=example()), "10003")
        assert_answer(client.post(REGISTER_PATH, json={}), "10002")


class TestAuthenticate:
    """What the host's ``authenticate`` may do."""

    @pytest.mark.parametrize("error", [Unauthorized(), WerkzeugUnauthorized("their page")])
    def test_unauthorized_is_our_401(self, error: Exception) -> None:
        """Both exceptions of that name mean "nobody"."""

        def authenticate() -> NoReturn:
            raise error

        client = mount(MemoryMachineStore(), authenticate).test_client()
        assert_answer(client.post(REGISTER_PATH, json=example()), "10401")

    @pytest.mark.parametrize("nobody", [None, False, ""])
    def test_nobody_is_our_401(self, nobody: object) -> None:
        """A host that lets anonymous requests through does not get them past us."""
        client = mount(MemoryMachineStore(), lambda: nobody).test_client()
        assert_answer(client.post(REGISTER_PATH, json=example()), "10401")

    @pytest.mark.parametrize("identity", [1, "1"])
    def test_the_identity_reaches_the_store_as_text(self, identity: object) -> None:
        """Integers of old hosts and strings lead to the same user."""
        client = mount(MemoryMachineStore(), lambda: identity).test_client()
        assert client.post(REGISTER_PATH, json=example()).status_code == 200

    def test_other_exceptions_are_the_host_s_own(self) -> None:
        """A host that answers its own errors with a handler goes on doing so."""

        class TheirError(Exception):
            pass

        def authenticate() -> NoReturn:
            raise TheirError

        app = mount(MemoryMachineStore(), authenticate)
        app.register_error_handler(TheirError, lambda error: ("their page", 418))
        answer = app.test_client().post(REGISTER_PATH, json=example())
        assert (answer.status_code, answer.text) == (418, "their page")

    def test_a_wrong_set_up_is_told_to_the_log(self, caplog: pytest.LogCaptureFixture) -> None:
        """What ``authenticate`` finds wrong with the host is 10005, and the log says what to do."""

        def authenticate() -> NoReturn:
            raise ConfigurationError("do this")

        client = mount(MemoryMachineStore(), authenticate).test_client()
        assert_answer(client.post(REGISTER_PATH, json=example()), "10005")
        assert "do this" in caplog.text


class TestInternalErrors:
    """What the host hears of a 10005, and what it does not."""

    @pytest.fixture
    def seen(self) -> list[BaseException]:
        return []

    @pytest.fixture
    def broken(self, seen: list[BaseException]) -> Flask:
        app = mount(BrokenStore(RuntimeError("the store broke")))
        got_request_exception.connect(lambda sender, exception: seen.append(exception), app, weak=False)
        return app

    @pytest.mark.parametrize("key", ["TESTING", "DEBUG", "PROPAGATE_EXCEPTIONS"])
    def test_it_is_answered_logged_and_sent_once(
        self, broken: Flask, seen: list[BaseException], caplog: pytest.LogCaptureFixture, key: str
    ) -> None:
        """One log entry with the traceback, one signal, and our answer even where Flask would re-raise."""
        broken.config[key] = True
        assert_answer(broken.test_client().post(REGISTER_PATH, json=example()), "10005")
        (record,) = caplog.records
        assert (record.name, record.levelno) == ("flask_aegis_machines", logging.ERROR)
        assert "UnexpectedError: RuntimeError at hosts.py:" in caplog.text
        assert "in bind" in caplog.text
        assert "the store broke" not in caplog.text
        (error,) = seen
        assert str(error).startswith("RuntimeError at hosts.py:")

    @pytest.mark.parametrize("direct", [True, False])
    def test_causes_that_go_round_in_a_circle_end(self, direct: bool) -> None:
        """An exception that is its own cause, at once or by way of another, is answered like any other."""
        error, other = RuntimeError("one"), RuntimeError("two")
        error.__cause__ = error if direct else other
        other.__cause__ = error
        client = mount(BrokenStore(error)).test_client()
        assert_answer(client.post(REGISTER_PATH, json=example()), "10005")

    def test_a_refusal_is_no_error(
        self, app: Flask, register: Register, seen: list[BaseException], caplog: pytest.LogCaptureFixture
    ) -> None:
        """Expected answers reach neither log nor error reporter."""
        got_request_exception.connect(lambda sender, exception: seen.append(exception), app, weak=False)
        codes = [
            register(**changes).json["code"]
            for changes in [{}, {}, {"machine_cpu": "\n"}, {"user_AegisSpeed_id": "x"}, {"headers": {}}]
        ]
        assert codes == ["10000", "10004", "10400", "10002", "10401"]
        assert (seen, caplog.records) == ([], [])

    def test_a_reporter_may_be_async(self, broken: Flask, seen: list[BaseException]) -> None:
        """An async receiver is awaited as Flask awaits it, and keeps no other from hearing."""
        require_module("asgiref", "flask[async]")

        async def report(sender: Flask, exception: BaseException) -> None:
            seen.append(exception)

        got_request_exception.connect(report, broken)
        assert_answer(broken.test_client().post(REGISTER_PATH, json=example()), "10005")
        assert len(seen) == 2
        assert seen[0] is seen[1]

    def test_a_reporter_may_look_at_the_current_exception(self, broken: Flask) -> None:
        """``sys.exc_info()`` has what is sent, and nothing that led to it."""
        received: list[tuple[BaseException, BaseException | None]] = []

        def report(sender: Flask, exception: BaseException) -> None:
            received.append((exception, sys.exc_info()[1]))

        got_request_exception.connect(report, broken)
        assert_answer(broken.test_client().post(REGISTER_PATH, json=example()), "10005")
        ((exception, current),) = received
        assert current is exception
        assert (exception.__cause__, exception.__context__) == (None, None)

    def test_a_reporter_that_fails_changes_no_answer(
        self, broken: Flask, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A receiver of the host's signal that raises is logged, and 10005 is answered."""

        def fail(sender: Flask, exception: Exception) -> NoReturn:
            raise LookupError("the reporter broke")

        got_request_exception.connect(fail, broken)
        assert_answer(broken.test_client().post(REGISTER_PATH, json=example()), "10005")
        assert "UnexpectedError: LookupError at test_blueprint.py:" in caplog.text
        assert "LookupError: the reporter broke" not in caplog.text

    def test_a_user_look_up_that_fails_is_10005(self, caplog: pytest.LogCaptureFixture) -> None:
        """A failure before anything was bound is an internal error as well."""

        class BrokenUsers(MemoryUserStore):
            def get(self, identity: str) -> NoReturn:
                raise UnicodeEncodeError("utf-8", "secret", 0, 1, "surrogates not allowed")

        app = Flask("host")
        stores = {"users": BrokenUsers(), "machines": MemoryMachineStore()}
        app.register_blueprint(create_blueprint(**stores, authenticate=lambda: 1))
        assert_answer(app.test_client().post(REGISTER_PATH, json=example()), "10005")
        assert "UnicodeEncodeError" in caplog.text

    def test_a_key_of_the_wrong_type_is_10005(self, app: Flask, register: Register) -> None:
        """A word in place of a bool opens no endpoint, and no repetition."""
        assert register().status_code == 200
        app.config["AEGIS_MACHINES_REPEAT_BY_OWNER"] = "false"
        assert_answer(register(), "10005")
        app.config["AEGIS_MACHINES_REGISTER_OPEN"] = "false"
        assert_answer(register(), "10005")

    def test_after_binding_nothing_can_fail(
        self, app: Flask, client: FlaskClient, users: MemoryUserStore
    ) -> None:
        """The answer is made before the machine is bound: what breaks it leaves nothing bound."""
        users.add(User(1, "ASD000001", 110101199003071234))
        answer = client.post(REGISTER_PATH, json=example(), headers=authorization(app, "1"))
        assert_answer(answer, "10005")
        users.add(FIRST)
        again = client.post(REGISTER_PATH, json=example(), headers=authorization(app, "1"))
        assert again.status_code == 200


class TestRepetition:
    """``AEGIS_MACHINES_REPEAT_BY_OWNER``."""

    def test_the_owner_hears_yes_again(
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


class TestMounting:
    """How a host may mount the blueprint."""

    def test_blueprints_share_no_hooks_and_need_no_app(self) -> None:
        """Two blueprints are made outside an app, and a hook of one does not run for the other."""
        stores = {"users": MemoryUserStore([FIRST]), "machines": MemoryMachineStore()}
        first, second = (create_blueprint(**stores, authenticate=lambda: 1) for _ in range(2))
        assert (first.name, first.url_prefix) == ("aegis_machines", None)
        first.before_request(lambda: (jsonify(theirs=True), 403))
        answers = []
        for blueprint in (first, second):
            app = Flask("host")
            app.register_blueprint(blueprint)
            answers.append(app.test_client().post(REGISTER_PATH, json=example()))
        assert [answer.status_code for answer in answers] == [403, 200]

    def test_a_view_has_a_name_for_exemptions(self, app: Flask) -> None:
        """Hosts exempt views from CSRF checks by module and name."""
        view = app.view_functions["aegis_machines.register_machine_info_by_aegisspeed_id"]
        assert view.__module__ == "flask_aegis_machines.blueprint"
        assert view.__name__ == "register_machine_info_by_aegisspeed_id"

    def test_a_host_s_json_provider_is_used(self, app: Flask, register: Register) -> None:
        """The host's provider serializes our answers, and gets only built-in JSON types."""
        serialized: list[dict[str, Any]] = []

        class Recording(type(app.json)):
            def dumps(self, obj: Any, **kwargs: Any) -> str:
                serialized.append(obj)
                return "\n" + str(super().dumps(obj, **kwargs))

        app.json = Recording(app)
        answer = register()
        assert answer.status_code == 200
        assert answer.data.startswith(b"\n")
        types = [{name: type(value) for name, value in body.items()} for body in serialized]
        assert types[-1] == {"status": int, "code": str, "result": str, "data": dict}

    def test_before_request_of_the_blueprint_is_the_host_s(self) -> None:
        """A host that wants its own decorator's answers puts it before ours."""
        stores = {"users": MemoryUserStore([FIRST]), "machines": MemoryMachineStore()}
        blueprint = create_blueprint(**stores, authenticate=lambda: 1)
        blueprint.before_request(lambda: (jsonify(theirs=True), 403))
        app = Flask("host")
        app.register_blueprint(blueprint)
        assert app.test_client().post(REGISTER_PATH).json == {"theirs": True}


class TestWrongSetUp:
    """What is set up wrongly fails before the first request, and says what to do."""

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"users": MemoryMachineStore()}, r"users must be an instance of a UserStore\. It lacks get\(\)"),
            ({"machines": MemoryUserStore()}, r"MachineStore\. It lacks bind, list_for, owner_of\(\)"),
            ({"users": MemoryUserStore}, "users must be an instance of a UserStore"),
            ({"machines": None}, "machines must be an instance of a MachineStore"),
            ({"authenticate": "jwt"}, "authenticate must be a callable"),
            ({"authenticate": asynchronous}, "authenticate must be a plain function"),
            ({"authenticate": Asynchronous()}, "authenticate must be a plain function"),
        ],
    )
    def test_arguments_are_checked(self, arguments: dict[str, Any], message: str) -> None:
        """Swapped, missing and unmade stores are found when the blueprint is made."""
        good = {"users": MemoryUserStore(), "machines": MemoryMachineStore()}
        with pytest.raises(ConfigurationError, match=message):
            create_blueprint(**{**good, **arguments})

    def test_config_keys_are_checked_at_mount(self) -> None:
        """A word in place of a bool is found when the blueprint is mounted."""
        app = Flask("host")
        app.config["AEGIS_MACHINES_REPEAT_BY_OWNER"] = "yes"
        stores = {"users": MemoryUserStore(), "machines": MemoryMachineStore()}
        with pytest.raises(ConfigurationError, match="AEGIS_MACHINES_REPEAT_BY_OWNER"):
            app.register_blueprint(create_blueprint(**stores))

    def test_a_forgotten_jwt_manager_is_told_to_the_log(self, caplog: pytest.LogCaptureFixture) -> None:
        """It may come after the mount, so its absence is known at the first request only."""
        app = Flask("host")
        stores = {"users": MemoryUserStore(), "machines": MemoryMachineStore()}
        app.register_blueprint(create_blueprint(**stores))
        assert_answer(app.test_client().post(REGISTER_PATH, json=example()), "10005")
        assert "call flask_jwt_extended.JWTManager(app)" in caplog.text

    def test_a_jwt_manager_may_come_after_the_mount(self) -> None:
        """The order in which a host sets its extensions up is its own."""
        app = Flask("host")
        stores = {"users": MemoryUserStore(), "machines": MemoryMachineStore()}
        app.register_blueprint(create_blueprint(**stores))
        app.config["JWT_SECRET_KEY"] = "a secret of the tests, of more than 32 bytes"
        JWTManager(app)
        assert_answer(app.test_client().post(REGISTER_PATH, json=example()), "10401")


def test_a_json_provider_that_fails_leaves_nothing_bound() -> None:
    """The whole answer is made before the machine is bound, bytes and all."""
    machines = MemoryMachineStore()
    app = mount(machines)

    class FailsOnce(type(app.json)):
        failed = False

        def dumps(self, obj: Any, **kwargs: Any) -> str:
            if not self.failed:
                self.failed = True
                raise TypeError("the provider broke")
            return str(super().dumps(obj, **kwargs))

    app.json = FailsOnce(app)
    answer = app.test_client().post(REGISTER_PATH, data=json.dumps(example()), content_type=JSON)
    assert_answer(answer, "10005")
    assert machines.list_for(FIRST) == []


def test_zero_is_somebody() -> None:
    """A host may count its users from 0, which is false in Python."""
    stores = {"users": MemoryUserStore([User(0, "ASD000001", "")]), "machines": MemoryMachineStore()}
    app = Flask("host")
    app.register_blueprint(create_blueprint(**stores, authenticate=lambda: 0))
    assert app.test_client().post(REGISTER_PATH, json=example()).status_code == 200
