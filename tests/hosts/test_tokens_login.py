"""Hosts with Flask-Login: its session, and a token that its ``request_loader`` reads."""

from __future__ import annotations

from flask import Flask, Request
from flask_login import (
    AnonymousUserMixin,
    LoginManager,
    UserMixin,
    current_user,
    login_required,
    login_user,
    logout_user,
)

from flask_aegis_machines import login_identity
from tests.support.tokens import SECRET, ask, host


class Member(UserMixin):
    """A user of the host's."""

    def __init__(self, key: int) -> None:
        self.id = key


def login_host() -> Flask:
    """Make a host with a page to sign in by, one to sign out by, and keys for programs."""
    app = host(login_identity, SECRET_KEY=SECRET)
    manager = LoginManager(app)
    manager.user_loader(lambda key: Member(int(key)))

    @manager.request_loader
    def find_by_key(request: Request) -> Member | None:
        members = {"key of the first": Member(1), "key of a third": Member(3)}
        return members.get(request.headers.get("X-Key", ""))

    @app.post("/sign-in/<int:key>")
    def sign_in(key: int) -> str:
        login_user(Member(key))
        return "signed in"

    @app.post("/sign-out")
    def sign_out() -> str:
        logout_user()
        return "signed out"

    @app.post("/theirs")
    @login_required
    def theirs() -> str:
        return "theirs"

    return app


def test_a_session() -> None:
    """Whoever signed in by a page binds machines until the sign-out."""
    app = login_host()
    client = app.test_client()
    assert ask(client) == "10401"
    client.post("/sign-in/1")
    assert [ask(client), ask(client)] == ["10000", "10000"]
    client.post("/sign-out")
    assert ask(client) == "10401"
    client.post("/sign-in/2")
    assert ask(client) == "10006"


def test_a_forged_session() -> None:
    """A cookie that another secret signed is nobody's."""
    app = login_host()
    client = app.test_client(use_cookies=False)

    def cookie() -> dict[str, str]:
        return {"Cookie": client.post("/sign-in/1").headers["Set-Cookie"].partition(";")[0]}

    own = cookie()
    app.secret_key = SECRET[::-1]
    forged = cookie()
    app.secret_key = SECRET
    assert [ask(client, headers=headers) for headers in (own, forged)] == ["10000", "10401"]


def test_a_request_loader() -> None:
    """A program that sends the host's key needs no session, and leaves none behind."""
    app = login_host()
    client = app.test_client()
    assert ask(client, headers={"X-Key": "key of the first"}) == "10000"
    assert ask(client, headers={"X-Key": "key of a third"}) == "10003"
    assert [ask(client, headers={"X-Key": "x"}), ask(client)] == ["10401", "10401"]


def test_an_anonymous_user_of_the_host_s() -> None:
    """A guest that has an id on the host's pages is nobody here."""
    app = login_host()

    class Guest(AnonymousUserMixin):
        def get_id(self) -> str:
            return "1"

    app.login_manager.anonymous_user = Guest

    @app.get("/me")
    def me() -> str:
        return str(current_user.get_id())

    client = app.test_client()
    assert client.get("/me").text == "1"
    assert ask(client) == "10401"


def test_the_host_s_answers_stay_on_its_own_pages() -> None:
    """``unauthorized_handler`` and ``login_view`` send nobody away from our endpoint."""
    app = login_host()
    app.login_manager.unauthorized_handler(lambda: ("their page to sign in", 403))
    client = app.test_client()
    assert client.post("/theirs").text == "their page to sign in"
    assert ask(client) == "10401"
    client.post("/sign-in/1")
    assert client.post("/theirs").text == "theirs"
    assert ask(client) == "10000"
