"""Hosts with tokens, and requests that carry one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from flask_jwt_extended import JWTManager, create_access_token

from flask_aegis_machines import jwt_identity
from flask_aegis_machines.stores.memory import MemoryMachineStore

from .hosts import REGISTER_PATH, assert_answer, example, mount

SECRET = "a secret of the tests" * 4  # long enough for every algorithm


def host(authenticate: Callable[[], object | None], **config: object) -> Flask:
    """Make a host with two users in memory; each registration of the first succeeds."""
    app = mount(MemoryMachineStore(), authenticate)
    app.config.update(AEGIS_MACHINES_REPEAT_BY_OWNER=True, **config)
    return app


def bearing(token: str) -> dict[str, str]:
    """Return the header that the API document asks for."""
    return {"Authorization": f"Bearer {token}"}


def ask(
    client: FlaskClient, token: str | None = None, headers: dict[str, str] | None = None, **changes: object
) -> str:
    """Register the first user's machine; return the code of the answer, which is right as a whole."""
    sent = {**({} if token is None else bearing(token)), **(headers or {})}
    document = {**example(), **changes}
    answer = client.post(REGISTER_PATH, json=document, headers=sent)
    code: str = answer.get_json()["code"]
    bound = {"machine_code": document["machine_code"], "user_id": "110***********1234"}
    assert_answer(answer, code, **(bound if code == "10000" else {}))
    return code


def jwt_host(**config: object) -> Flask:
    """Make a host with a secret and other settings."""
    app = host(jwt_identity, **{"JWT_SECRET_KEY": SECRET, **config})
    JWTManager(app)
    return app


def manager_of(app: Flask) -> JWTManager:
    """Return what a host sets its callbacks on."""
    manager: JWTManager = app.extensions["flask-jwt-extended"]
    return manager


def access_token(app: Flask, identity: Any = "1", **how: Any) -> str:
    """Return the token of a user who signs in."""
    with app.app_context():
        token: str = create_access_token(identity, **how)
    return token
