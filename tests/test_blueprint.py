"""How the blueprint is made and mounted, and what is found wrong then."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import MagicMock, create_autospec

import pytest
from flask import Flask, jsonify
from flask_jwt_extended import JWTManager
from werkzeug.test import TestResponse

from flask_aegis_machines import ConfigurationError, create_blueprint
from flask_aegis_machines.stores import UserStore
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore
from tests.support.hosts import FIRST, REGISTER_PATH, assert_answer, example

Register = Callable[..., TestResponse]


class Asynchronous:
    async def __call__(self) -> None:
        """Identify nobody."""


async def asynchronous() -> None:
    """Identify a caller as a host on another framework might."""


class AsyncUsers(MemoryUserStore):
    async def get(self, identity: str) -> Any:
        """Find a user as a host on another framework might."""


class AsyncMachines(MemoryMachineStore):
    async def bind_many(self, bindings: Any) -> Any:
        """Bind machines as a host on another framework might."""


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
            ({"authenticate": asynchronous}, "authenticate must be a sync function"),
            ({"authenticate": Asynchronous()}, "authenticate must be a sync function"),
            ({"users": AsyncUsers()}, r"users\.get\(\) must be a sync function"),
            ({"machines": AsyncMachines()}, r"machines\.bind_many\(\) must be a sync function"),
        ],
    )
    def test_arguments_are_checked(self, arguments: dict[str, Any], message: str) -> None:
        """Swapped, missing and unmade stores are found when the blueprint is made."""
        good = {"users": MemoryUserStore(), "machines": MemoryMachineStore()}
        with pytest.raises(ConfigurationError, match=message):
            create_blueprint(**{**good, **arguments})

    def test_mocks_of_stores_are_accepted(self) -> None:
        """A mock has any attribute that is asked for, also those that make a function async."""
        stores = {"users": create_autospec(UserStore, instance=True), "machines": MemoryMachineStore()}
        app = Flask("host")
        app.register_blueprint(create_blueprint(**stores, authenticate=MagicMock(spec=len)))
        assert "aegis_machines" in app.blueprints

    def test_an_optional_method_is_not_asked_for_at_mount(self) -> None:
        """A property may need a request."""

        class Careful(MemoryMachineStore):
            problems: Any = property(pytest.fail)

        create_blueprint(users=MemoryUserStore(), machines=Careful())

    def test_async_partials_are_refused(self) -> None:
        """What is wrapped is seen."""
        stores = {"users": MemoryUserStore(), "machines": MemoryMachineStore()}
        with pytest.raises(ConfigurationError, match="authenticate must be a sync function"):
            create_blueprint(**stores, authenticate=partial(partial(asynchronous)))

    def test_config_keys_are_checked_at_mount(self) -> None:
        """A word in place of a bool is found when the blueprint is mounted."""
        app = Flask("host")
        app.config["AEGIS_MACHINES_REPEAT_BY_OWNER"] = "yes"
        stores = {"users": MemoryUserStore(), "machines": MemoryMachineStore()}
        with pytest.raises(ConfigurationError, match="AEGIS_MACHINES_REPEAT_BY_OWNER"):
            app.register_blueprint(create_blueprint(**stores))

    def test_a_missing_jwt_manager_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
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
