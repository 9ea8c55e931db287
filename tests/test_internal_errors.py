"""What is logged and reported of a 10005, and what is not."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from flask import Flask, got_request_exception
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_aegis_machines import User, create_blueprint
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore
from tests.servers import require_module
from tests.support.hosts import (
    FIRST,
    REGISTER_PATH,
    BrokenStore,
    assert_answer,
    authorization,
    example,
    mount,
)

JSON = "application/json"
Register = Callable[..., TestResponse]


class TestInternalErrors:
    """What is logged and sent to error reporters after a 10005."""

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
        """An async receiver is awaited as Flask awaits it, and other receivers are called too."""
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
        assert "UnexpectedError: LookupError at test_internal_errors.py:" in caplog.text
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
