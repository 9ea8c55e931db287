"""What logs, clients and error reporters of hosts get to see of a token: nothing."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, NoReturn

import jwt
import pytest
from flask import Flask, got_request_exception
from flask_jwt_extended import JWTManager, create_refresh_token
from flask_login import LoginManager, UserMixin

from flask_aegis_machines import Unauthorized, bearer, jwt_identity, login_identity
from tests.support.hosts import REGISTER_PATH, BrokenStore, example, mount
from tests.support.tokens import SECRET, access_token, bearing, host, jwt_host, manager_of

Headers = dict[str, str]
KEY = "a-long-random-key-of-the-host"


def signed_in(identity: str = "1", **how: Any) -> tuple[Flask, Headers]:
    app = jwt_host()
    return app, bearing(access_token(app, identity, **how))


def refreshing() -> tuple[Flask, Headers]:
    app = jwt_host()
    with app.app_context():
        return app, bearing(create_refresh_token("1"))


def revoked() -> tuple[Flask, Headers]:
    app, headers = signed_in()
    manager_of(app).token_in_blocklist_loader(lambda header, claims: True)
    return app, headers


def looked_up_in_vain() -> tuple[Flask, Headers]:
    app, headers = signed_in()
    manager_of(app).user_lookup_loader(lambda header, claims: None)
    return app, headers


def on_a_broken_store() -> tuple[Flask, Headers]:
    app = mount(BrokenStore(RuntimeError("the store broke")), jwt_identity)
    app.config["JWT_SECRET_KEY"] = SECRET
    JWTManager(app)
    return app, bearing(access_token(app))


def by_flask_login(key: str) -> tuple[Flask, Headers]:
    class Member(UserMixin):
        id = 1

    app = host(login_identity, SECRET_KEY=SECRET)
    manager = LoginManager(app)
    manager.request_loader(lambda request: {KEY: Member()}.get(request.headers["X-Key"]))
    return app, {"X-Key": key}


def by_a_verify_that_refuses() -> tuple[Flask, Headers]:
    def verify(token: str) -> NoReturn:
        raise Unauthorized

    return host(bearer(verify)), bearing(KEY)


CASES: dict[str, tuple[Callable[[], tuple[Flask, Headers]], str]] = {
    "good": (signed_in, "10000"),
    "of nobody": (lambda: signed_in("3"), "10003"),
    "of another user": (lambda: signed_in("2"), "10006"),
    "expired": (lambda: signed_in(expires_delta=timedelta(seconds=-1)), "10401"),
    "refresh": (refreshing, "10401"),
    "revoked": (revoked, "10401"),
    "looked up in vain": (looked_up_in_vain, "10003"),
    "of another key": (lambda: (jwt_host(), bearing(jwt.encode({"sub": "1"}, SECRET[::-1]))), "10401"),
    "garbage": (lambda: (jwt_host(), bearing("c2VjcmV0IG9uZQ.c2VjcmV0IHR3bw.c2VjcmV0IHRocmVl")), "10401"),
    "two of them": (lambda: (jwt_host(), {"Authorization": f"Bearer {KEY} {KEY}"}), "10401"),
    "of another scheme": (lambda: (jwt_host(), {"Authorization": f"Token {KEY}"}), "10401"),
    "without a JWTManager": (lambda: (host(jwt_identity), signed_in()[1]), "10005"),
    "without a secret": (lambda: (jwt_host(JWT_SECRET_KEY=None), signed_in()[1]), "10005"),
    "with another header": (lambda: (jwt_host(JWT_HEADER_NAME="X-Token"), {"X-Token": KEY}), "10005"),
    "on a broken store": (on_a_broken_store, "10005"),
    "key": (lambda: (host(bearer({KEY: 1}.get)), bearing(KEY)), "10000"),
    "key of nobody": (lambda: (host(bearer({}.get)), bearing(KEY)), "10401"),
    "refused key": (by_a_verify_that_refuses, "10401"),
    "Flask-Login": (lambda: by_flask_login(KEY), "10000"),
    "Flask-Login of nobody": (lambda: by_flask_login(KEY[::-1]), "10401"),
}


def chain(error: BaseException | None) -> Iterator[str]:
    """Yield the text of an exception and of those that led to it."""
    while error is not None:
        yield f"{error} {error!r}"
        error = error.__context__


@pytest.mark.parametrize(("make", "code"), CASES.values(), ids=CASES)
def test_no_token_is_reported(
    make: Callable[[], tuple[Flask, Headers]], code: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No part of a token is in an answer, in a log at its most talkative, or in an exception's text."""
    caplog.set_level(logging.DEBUG)
    app, headers = make()
    reported: list[str] = []

    def report(sender: Flask, exception: BaseException) -> None:
        reported.extend(chain(exception))

    got_request_exception.connect(report, app)
    answer = app.test_client().post(REGISTER_PATH, json=example(), headers=headers)
    assert answer.get_json()["code"] == code
    assert bool(reported) == (code == "10005") == ("ERROR" in caplog.text)
    seen = "\n".join([answer.get_data(as_text=True), str(answer.headers), caplog.text, *reported])
    parts = re.findall(r"[^ .]{9,}", " ".join(headers.values()))
    assert parts
    assert [part for part in parts if part in seen] == []
