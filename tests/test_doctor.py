"""The command ``doctor``."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from flask import Flask
from flask_login import LoginManager

from flask_aegis_machines import (
    StoreFailure,
    User,
    UserNotFound,
    bearer,
    create_blueprint,
    jwt_identity,
    login_identity,
)
from flask_aegis_machines._token_setup import PLACEHOLDER_SECRETS
from flask_aegis_machines.stores import Notice
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore
from tests.support.commands import SECRET, DuckMachines, DuckUsers, FailingStore, invoke, make_app
from tests.support.hosts import FIRST

NOT_CHECKED = "tokens: notice: not checked: authenticate is neither jwt_identity nor login_identity."


class TrialStore(MemoryMachineStore):
    """A store that records its trials."""

    def __init__(self, *found: str) -> None:
        super().__init__()
        self.found = list(found)
        self.trials: list[tuple[User, bool]] = []

    def try_binding(self, user: User, *, with_hook: bool = False) -> list[str]:
        """Record the arguments."""
        self.trials.append((user, with_hook))
        return self.found


class TestOutput:
    """Lines and exit status."""

    def test_a_good_app_has_a_line_for_each_check(self, app: Flask) -> None:
        """Each check prints "ok", and the exit status is 0."""
        result = invoke(app, "doctor")
        assert (result.exit_code, result.output) == (0, "config: ok\ntokens: ok\nusers: ok\nmachines: ok\n")

    def test_each_problem_of_a_store_has_a_line(self, users: MemoryUserStore) -> None:
        """The name of the check stands before each sentence, and the exit status is 1."""

        class Worn(MemoryMachineStore):
            def problems(self) -> list[str]:
                return ["The one.", "The other.", Notice("Good to know.")]

        result = invoke(make_app(users, Worn()), "doctor")
        assert result.exit_code == 1
        assert result.output.splitlines()[3:] == [
            "machines: The one.",
            "machines: The other.",
            "machines: notice: Good to know.",
        ]

    def test_a_notice_is_no_failure(self, machines: MemoryMachineStore) -> None:
        """The exit status is 0 where there are only notices."""

        class Noticed(MemoryUserStore):
            def problems(self) -> list[str]:
                return [Notice("Good to know.")]

        app = make_app(Noticed(), machines, config={"AEGIS_MACHINES_GET_OPEN": False})
        result = invoke(app, "doctor")
        assert (result.exit_code, result.output.splitlines()) == (
            0,
            [
                "config: notice: AEGIS_MACHINES_GET_OPEN closes its endpoint.",
                "tokens: ok",
                "users: notice: Good to know.",
                "machines: ok",
            ],
        )

    @pytest.mark.parametrize(
        ("error", "text"),
        [
            (StoreFailure("gave up at try 3"), "gave up at try 3"),
            (KeyError(SECRET), "KeyError at test_doctor.py:"),
        ],
        ids=["ours", "another"],
    )
    def test_a_check_that_fails_is_a_problem(
        self, users: MemoryUserStore, error: Exception, text: str
    ) -> None:
        """A store that cannot be reached is printed without values, and the other checks run."""

        class Away(MemoryMachineStore):
            def problems(self) -> list[str]:
                raise error

        result = invoke(make_app(users, Away()), "doctor")
        assert result.exit_code == 1
        assert result.output.splitlines()[:3] == ["config: ok", "tokens: ok", "users: ok"]
        assert result.output.splitlines()[3].startswith(f"machines: could not be checked: {text}")
        assert SECRET not in result.output

    def test_stores_without_base_class_have_no_problem(self) -> None:
        """A method that a store does not have is not called."""
        result = invoke(make_app(DuckUsers(), DuckMachines()), "doctor")
        assert (result.exit_code, result.output.splitlines()[2:]) == (0, ["users: ok", "machines: ok"])

    def test_a_misspelt_key_fails(self, users: MemoryUserStore, machines: MemoryMachineStore) -> None:
        """The line has the name of the check of the config."""
        result = invoke(make_app(users, machines, config={"AEGIS_MACHINES_GET_OPNE": True}), "doctor")
        assert result.exit_code == 1
        assert result.output.startswith("config: AEGIS_MACHINES_GET_OPNE is no config key")


class TestTokens:
    """What is checked of the token system."""

    @pytest.mark.parametrize("secret", [SECRET, *sorted(PLACEHOLDER_SECRETS)])
    def test_a_bad_secret_fails(
        self, users: MemoryUserStore, machines: MemoryMachineStore, secret: str
    ) -> None:
        """A short secret and a placeholder are problems, and neither is printed."""
        result = invoke(make_app(users, machines, config={"JWT_SECRET_KEY": secret}), "doctor")
        assert result.exit_code == 1
        assert "JWT_SECRET_KEY" in result.output.splitlines()[1]
        assert secret not in result.output

    @pytest.mark.parametrize(
        ("authenticate", "line"),
        [
            (jwt_identity, "tokens: This app has no JWTManager: "),
            (functools.wraps(jwt_identity)(lambda: None), "tokens: This app has no JWTManager: "),
            (login_identity, "tokens: This app has no LoginManager: "),
            (bearer(lambda token: token), NOT_CHECKED),
            (lambda: None, NOT_CHECKED),
            (functools.partial(jwt_identity), NOT_CHECKED),
        ],
        ids=["JWT", "wrapped", "Flask-Login", "bearer", "function", "partial"],
    )
    def test_a_missing_token_system_fails(
        self, users: MemoryUserStore, machines: MemoryMachineStore, authenticate: Any, line: str
    ) -> None:
        """Wrappers made with functools.wraps are seen through; others are named as not checked."""
        app = Flask(__name__)
        app.register_blueprint(create_blueprint(users=users, machines=machines, authenticate=authenticate))
        result = invoke(app, "doctor")
        assert result.exit_code == (line != NOT_CHECKED)
        assert result.output.splitlines()[1].startswith(line)

    def test_a_session_with_a_placeholder_secret_fails(
        self, users: MemoryUserStore, machines: MemoryMachineStore
    ) -> None:
        """Flask-Login trusts a cookie that is signed with SECRET_KEY."""
        app = make_app(
            users, machines, config={"SECRET_KEY": min(PLACEHOLDER_SECRETS)}, authenticate=login_identity
        )
        LoginManager(app)
        result = invoke(app, "doctor")
        assert result.exit_code == 1
        assert result.output.splitlines()[1].startswith("tokens: SECRET_KEY is a placeholder ")


class TestTrial:
    """A binding that is rolled back."""

    @pytest.mark.parametrize(("options", "with_hook"), [([], False), (["--with-hook"], True)])
    def test_a_trial_uses_a_sample_user(
        self, users: MemoryUserStore, options: list[str], with_hook: bool
    ) -> None:
        """The store gets a user who may bind; the hook runs only with its option."""
        store = TrialStore()
        result = invoke(make_app(users, store), "doctor", "--trial", *options)
        assert (result.exit_code, result.output.splitlines()[4:]) == (0, ["trial: ok"])
        assert store.trials == [(FIRST, with_hook)]

    def test_no_trial_without_its_option(self, users: MemoryUserStore) -> None:
        """The command itself writes nothing, not even for a rollback."""
        store = TrialStore()
        assert "trial" not in invoke(make_app(users, store), "doctor").output
        assert store.trials == []

    def test_a_failed_trial_fails(self, users: MemoryUserStore) -> None:
        """The sentences of the store are printed, and the exit status is 1."""
        result = invoke(make_app(users, TrialStore("A trigger removed the row.")), "doctor", "--trial")
        assert result.exit_code == 1
        assert result.output.splitlines()[4:] == ["trial: A trigger removed the row."]

    def test_a_refused_trial_does_not_fail(self, users: MemoryUserStore) -> None:
        """A hook that refuses the user does its work, so the line is a notice."""

        class Refusing(MemoryMachineStore):
            def try_binding(self, user: User, *, with_hook: bool = False) -> list[str]:
                raise UserNotFound

        result = invoke(make_app(users, Refusing()), "doctor", "--trial", "--with-hook")
        line = "trial: notice: the user of the trial may not bind a machine: 10003 User does not exist."
        assert (result.exit_code, result.output.splitlines()[4:]) == (0, [line])

    def test_an_error_in_a_trial_is_printed_without_values(self, users: MemoryUserStore) -> None:
        """A store that raises fails the check."""
        result = invoke(make_app(users, FailingStore()), "doctor", "--trial")
        assert result.exit_code == 1
        assert result.output.splitlines()[4].startswith("trial: could not be checked: ValueError at ")
        assert SECRET not in result.output

    def test_no_user_is_a_notice(self) -> None:
        """An app that was just deployed has no users, and is good."""
        store = TrialStore()
        for users in (MemoryUserStore(), DuckUsers()):
            result = invoke(make_app(users, store), "doctor", "--trial")
            assert result.exit_code == 0
            assert result.output.splitlines()[4].startswith("trial: notice: no trial: ")
        assert store.trials == []

    def test_a_store_without_a_trial_is_a_notice(self, users: MemoryUserStore) -> None:
        """The default of the base class serves stores with and without it."""
        for machines in (MemoryMachineStore(), DuckMachines()):
            result = invoke(make_app(users, machines), "doctor", "--trial")
            assert (result.exit_code, result.output.splitlines()[4:]) == (
                0,
                ["trial: notice: This store has no trial."],
            )

    def test_a_hook_needs_a_trial(self, app: Flask) -> None:
        """The option without a trial is a wrong use of the command."""
        result = invoke(app, "doctor", "--with-hook")
        assert result.exit_code == 2
        assert "--with-hook needs --trial." in result.output
