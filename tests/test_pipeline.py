"""What the mounted blueprint asks of its stores around a request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import wraps
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask, abort

from flask_aegis_machines import ConfigurationError, Machine, User, create_blueprint
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore
from tests.support.hosts import FIRST, REGISTER_PATH, assert_answer, example

DATA = {"machine_code": example()["machine_code"], "user_id": "110***********1234"}


class Users(MemoryUserStore):
    """Notes what is called, and has the scope that a test gives it."""

    def __init__(self, calls: list[str], scope: Callable[[], AbstractContextManager[None]]) -> None:
        super().__init__([FIRST])
        self.calls = calls
        self.request_scope = scope  # type: ignore[method-assign]

    def get(self, identity: str) -> User | None:
        self.calls.append("get")
        return super().get(identity)


class Machines(MemoryMachineStore):
    """Notes what is called, and has the scope that a test gives it."""

    def __init__(self, calls: list[str], scope: Callable[[], AbstractContextManager[None]]) -> None:
        super().__init__()
        self.calls = calls
        self.request_scope = scope  # type: ignore[method-assign]

    def bind(self, machine: Machine, user: User) -> None:
        self.calls.append("bind")
        super().bind(machine, user)


def noted(calls: list[str], name: str) -> Callable[[], AbstractContextManager[None]]:
    """Make a scope that notes when it is entered and left."""

    @contextmanager
    def scope() -> Iterator[None]:
        calls.append(f"enter {name}")
        try:
            yield
        finally:
            calls.append(f"leave {name}")

    return scope


@contextmanager
def broken_at_exit() -> Iterator[None]:
    """Fail when it is left, as a connection that was lost meanwhile."""
    yield
    raise LookupError("the scope broke")


@contextmanager
def broken_at_entry() -> Iterator[None]:
    """Fail when it is entered."""
    raise LookupError("the scope broke")
    yield


def mounted(users: Users, machines: Machines, calls: list[str]) -> Flask:
    """Mount the stores with an ``authenticate`` that notes when it is called."""

    def authenticate() -> int:
        calls.append("authenticate")
        return 1

    app = Flask("host")
    app.register_blueprint(create_blueprint(users=users, machines=machines, authenticate=authenticate))
    return app


def test_a_request_runs_within_both_scopes() -> None:
    """Authentication, the look-up and the binding come after both scopes are entered."""
    calls: list[str] = []
    users, machines = Users(calls, noted(calls, "users")), Machines(calls, noted(calls, "machines"))
    app = mounted(users, machines, calls)
    answer = app.test_client().post(REGISTER_PATH, json=example())
    assert_answer(answer, "10000", **DATA)
    assert calls == [
        *("enter users", "enter machines", "authenticate", "get", "bind"),
        *("leave machines", "leave users"),
    ]


def test_scopes_are_left_after_a_refusal() -> None:
    """A scope sees a refusal, and does not change it."""
    calls: list[str] = []
    users, machines = Users(calls, noted(calls, "users")), Machines(calls, noted(calls, "machines"))
    app = mounted(users, machines, calls)
    answer = app.test_client().post(REGISTER_PATH, json={})
    assert_answer(answer, "10002")
    assert calls[-2:] == ["leave machines", "leave users"]


def test_a_closed_endpoint_enters_no_scope() -> None:
    """What is refused before the token is read costs no connection."""
    calls: list[str] = []
    users, machines = Users(calls, noted(calls, "users")), Machines(calls, noted(calls, "machines"))
    app = mounted(users, machines, calls)
    app.config["AEGIS_MACHINES_REGISTER_OPEN"] = False
    assert_answer(app.test_client().post(REGISTER_PATH, json=example()), "10001")
    assert calls == []


def test_a_scope_that_fails_at_exit_changes_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    """The machine is bound by then: the failure is logged and the answer stays 200."""
    calls: list[str] = []
    users, machines = Users(calls, noted(calls, "users")), Machines(calls, broken_at_exit)
    app = mounted(users, machines, calls)
    answer = app.test_client().post(REGISTER_PATH, json=example())
    assert_answer(answer, "10000", **DATA)
    assert calls[-1] == "leave users"
    assert [record.getMessage() for record in caplog.records] == ["The request scope of a store failed"]


def test_a_scope_that_fails_at_entry_is_10005() -> None:
    """Nothing is bound, and the scope that was entered before is left."""
    calls: list[str] = []
    users, machines = Users(calls, noted(calls, "users")), Machines(calls, broken_at_entry)
    app = mounted(users, machines, calls)
    answer = app.test_client().post(REGISTER_PATH, json=example())
    assert_answer(answer, "10005")
    assert calls == ["enter users", "leave users"]


class DuckTyped:
    """Stores without a base class of this package, and without any optional method."""

    def __init__(self, methods: object) -> None:
        self.get = getattr(methods, "get", None)
        self.bind, self.owner_of = getattr(methods, "bind", None), getattr(methods, "owner_of", None)
        self.list_for = getattr(methods, "list_for", None)


def test_stores_need_no_base_class() -> None:
    """A store with the required methods only is mounted and used."""
    app = Flask("host")
    users, machines = DuckTyped(MemoryUserStore([FIRST])), DuckTyped(MemoryMachineStore())
    app.register_blueprint(create_blueprint(users=users, machines=machines, authenticate=lambda: 1))  # type: ignore[arg-type]
    assert_answer(app.test_client().post(REGISTER_PATH, json=example()), "10000", **DATA)


@pytest.mark.parametrize("store", ["users", "machines"])
def test_a_store_may_refuse_its_mount(store: str) -> None:
    """``check_mount`` of both stores is called with the app when the blueprint is registered."""
    app = Flask("host")

    def refuse(mounted_in: Flask) -> None:
        assert mounted_in is app
        raise ConfigurationError("not in this app")

    calls: list[str] = []
    stores = {"users": Users(calls, nullcontext), "machines": Machines(calls, nullcontext)}
    stores[store].check_mount = refuse  # type: ignore[method-assign]
    blueprint = create_blueprint(**stores, authenticate=lambda: 1)
    with pytest.raises(ConfigurationError, match="not in this app"):
        app.register_blueprint(blueprint)


def test_the_timestamp_is_set_before_binding(machines: MemoryMachineStore) -> None:
    """The store gets the machine with its time of registration in UTC."""
    app = Flask("host")
    stores = {"users": MemoryUserStore([FIRST]), "machines": machines}
    app.register_blueprint(create_blueprint(**stores, authenticate=lambda: 1))
    bound: list[Machine] = []
    machines.bind = lambda machine, user: bound.append(machine)  # type: ignore[method-assign]
    before = datetime.now(timezone.utc)
    assert app.test_client().post(REGISTER_PATH, json=example()).status_code == 200
    after = datetime.now(timezone.utc)
    registered_at = bound[0].registered_at
    assert registered_at is not None
    assert registered_at.utcoffset() == timedelta(0)
    assert before <= registered_at <= after


def test_a_429_of_another_view_is_left_alone() -> None:
    """A view that the host adds to the blueprint keeps its own response to a rate limiter."""
    blueprint = create_blueprint(
        users=MemoryUserStore(), machines=MemoryMachineStore(), authenticate=lambda: 1
    )
    blueprint.add_url_rule("/theirs", view_func=lambda: abort(429), endpoint="theirs")
    app = Flask("host")
    app.register_blueprint(blueprint)
    answer = app.test_client().get("/theirs")
    assert (answer.status_code, answer.mimetype) == (429, "text/html")


def traced(function: Callable[..., object]) -> Callable[..., object]:
    """Decorate a function as many libraries do, which hides whether it is async."""

    @wraps(function)
    def call(*arguments: object) -> object:
        return function(*arguments)

    return call


class AsyncMachines(MemoryMachineStore):
    """A store that binds nothing unless somebody awaits it."""

    @traced
    async def bind(self, machine: Machine, user: User) -> None:
        """Would bind, if somebody awaited it."""


def test_a_binding_that_has_not_run_is_no_success(caplog: pytest.LogCaptureFixture) -> None:
    """A decorator hides at mount that a method is async; no 200 is given for it."""
    machines = AsyncMachines()
    app = Flask("host")
    app.register_blueprint(
        create_blueprint(users=MemoryUserStore([FIRST]), machines=machines, authenticate=lambda: 1)
    )
    assert_answer(app.test_client().post(REGISTER_PATH, json=example()), "10005")
    assert "machines.bind() returned before it had run" in caplog.text
    assert machines.owner_of(example()["machine_code"]) is None


def test_an_authentication_that_has_not_run_identifies_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """A lambda hides that it is async."""

    async def authenticate() -> None:
        """Would identify somebody, if somebody awaited it."""

    app = Flask("host")
    stores = {"users": MemoryUserStore([FIRST]), "machines": MemoryMachineStore()}
    app.register_blueprint(create_blueprint(**stores, authenticate=lambda: authenticate()))
    assert_answer(app.test_client().post(REGISTER_PATH, json=example()), "10005")
    assert "authenticate returned before it had run" in caplog.text


def test_a_user_without_a_key_owns_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A code would be taken for ever, by nobody."""

    class Keyless(MemoryUserStore):
        def get(self, identity: str) -> User | None:
            return replace(FIRST, key=None)

    app = Flask("host")
    machines = MemoryMachineStore()
    app.register_blueprint(create_blueprint(users=Keyless(), machines=machines, authenticate=lambda: 1))
    assert_answer(app.test_client().post(REGISTER_PATH, json=example()), "10005")
    assert "the user has no key (NULL)" in caplog.text
    assert machines.owner_of(example()["machine_code"]) is None


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            lambda: SimpleNamespace(aegisspeed_id="ASD000001"),
            "users.get() must return a flask_aegis_machines.User",
        ),
        (lambda: traced_later(), "users.get() returned before it had run"),
    ],
    ids=["another", "async"],
)
def test_what_is_no_user_is_reported(
    found: Callable[[], object], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A row of the host's, or what nobody awaits, is a failure that the log names."""

    class Wrong(MemoryUserStore):
        def get(self, identity: str) -> Any:
            return found()

    app = Flask("host")
    app.register_blueprint(
        create_blueprint(users=Wrong(), machines=MemoryMachineStore(), authenticate=lambda: 1)
    )
    assert_answer(app.test_client().post(REGISTER_PATH, json=example()), "10005")
    assert message in caplog.text


async def traced_later() -> None:
    """Would find a user, if somebody awaited it."""
