"""What the host's ``authenticate`` may return and raise."""

from __future__ import annotations

from typing import NoReturn

import pytest
from flask import Flask
from werkzeug.exceptions import Unauthorized as WerkzeugUnauthorized

from flask_aegis_machines import ConfigurationError, Unauthorized, User, create_blueprint
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore
from tests.support.hosts import REGISTER_PATH, assert_answer, example, mount


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

    def test_a_configuration_error_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        """What ``authenticate`` finds wrong with the host is 10005, and the log says what to do."""

        def authenticate() -> NoReturn:
            raise ConfigurationError("do this")

        client = mount(MemoryMachineStore(), authenticate).test_client()
        assert_answer(client.post(REGISTER_PATH, json=example()), "10005")
        assert "do this" in caplog.text


def test_zero_is_somebody() -> None:
    """A host may count its users from 0, which is false in Python."""
    stores = {"users": MemoryUserStore([User(0, "ASD000001", "")]), "machines": MemoryMachineStore()}
    app = Flask("host")
    app.register_blueprint(create_blueprint(**stores, authenticate=lambda: 0))
    assert app.test_client().post(REGISTER_PATH, json=example()).status_code == 200
