"""Hosts without a token library: HTTP Basic, a server's REMOTE_USER, and what the host itself found out."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from flask import Flask, g, jsonify, request
from flask_jwt_extended import JWTManager, create_access_token, get_jwt_identity, jwt_required
from werkzeug.security import check_password_hash, generate_password_hash

from flask_aegis_machines import create_blueprint
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore
from tests.support.hosts import FIRST, REGISTER_PATH, SECOND, example
from tests.support.tokens import SECRET, ask, bearing, host


def test_http_basic() -> None:
    """A host with names and passwords only reads them from the request."""
    passwords = {"1": generate_password_hash("correct horse", "pbkdf2:sha256:1")}

    def authenticate() -> str | None:
        sent = request.authorization
        if sent is None or sent.type != "basic" or sent.username not in passwords:
            return None
        return sent.username if check_password_hash(passwords[sent.username], sent.password) else None

    client = host(authenticate).test_client()
    credentials = {
        "none": {},
        "of the user": {"Authorization": "Basic MTpjb3JyZWN0IGhvcnNl"},
        "with a wrong password": {"Authorization": "Basic MTp3cm9uZyBob3JzZQ=="},
        "of nobody": {"Authorization": "Basic Mzpjb3JyZWN0IGhvcnNl"},
        "without a password": {"Authorization": "Basic MQ=="},
        "malformed": {"Authorization": "Basic %"},
        "of another scheme": bearing("MTpjb3JyZWN0IGhvcnNl"),
    }
    answers = {name: ask(client, headers=headers) for name, headers in credentials.items()}
    assert answers == {**dict.fromkeys(credentials, "10401"), "of the user": "10000"}


def test_a_server_that_authenticates() -> None:
    """REMOTE_USER of the WSGI server names the caller, and a header that looks like it does not."""
    client = host(lambda: request.remote_user).test_client()
    assert ask(client, headers={"Remote-User": "1"}) == "10401"
    client.environ_base["REMOTE_USER"] = "1"
    assert ask(client) == "10000"
    client.environ_base["REMOTE_USER"] = "3"
    assert ask(client) == "10003"


def test_what_the_host_has_found_out() -> None:
    """A host that keeps the user of the request in ``g`` hands the user's id over; its guests have none."""
    app = host(lambda: g.user.id)

    @app.before_request
    def find_user() -> None:
        g.user = SimpleNamespace(id={"key of the first": 1}.get(request.headers.get("X-Key", "")))

    client = app.test_client()
    assert ask(client, headers={"X-Key": "key of the first"}) == "10000"
    assert ask(client) == "10401"
    assert ask(client, headers={"X-Key": "key of nobody"}) == "10401"


@pytest.mark.parametrize("guest", [None, SimpleNamespace(name="guest"), SimpleNamespace(id=None)])
def test_a_host_that_lets_everybody_through(guest: object) -> None:
    """A guest who may see the host's own pages is nobody here: no user, or one without an id."""
    app = host(lambda: getattr(g.user, "id", None))
    app.before_request(lambda: setattr(g, "user", guest))
    app.add_url_rule("/theirs", view_func=lambda: "welcome")
    client = app.test_client()
    assert client.get("/theirs").text == "welcome"
    assert ask(client) == "10401"


def test_a_decorator_of_the_host_s() -> None:
    """Around the blueprint, a host's decorator keeps its own answers, and what it lets through is ours."""
    stores = {"users": MemoryUserStore([FIRST, SECOND]), "machines": MemoryMachineStore()}
    blueprint = create_blueprint(**stores, authenticate=get_jwt_identity)
    blueprint.before_request(jwt_required()(lambda: None))
    app = Flask("host")
    app.config["JWT_SECRET_KEY"] = SECRET
    manager = JWTManager(app)
    manager.unauthorized_loader(lambda reason: (jsonify(theirs="sign in"), 401))
    manager.invalid_token_loader(lambda reason: (jsonify(theirs="invalid"), 422))
    app.register_blueprint(blueprint)
    client = app.test_client()
    with app.app_context():
        token = create_access_token("1")
    answers = [client.post(REGISTER_PATH, json=example(), headers=bearing(t)) for t in ("x", token + "x")]
    answers.append(client.post(REGISTER_PATH, json=example()))
    assert [(answer.status_code, answer.json) for answer in answers] == [
        (422, {"theirs": "invalid"}),
        (422, {"theirs": "invalid"}),
        (401, {"theirs": "sign in"}),
    ]
    assert ask(client, token) == "10000"
