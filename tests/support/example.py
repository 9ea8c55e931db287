"""Starts the example app, and talks to it through the test client."""

from __future__ import annotations

from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import example_app
from example_app import create_app, demo
from example_app.models import User, db

CHECKOUT = Path(example_app.__file__).parents[1]
LOGIN = {"user_AegisSpeed_id": "ASD000001", "password": "demo"}
REGISTER = "/machine/register/register_machine_info_by_aegisspeed_id"
VERIFY = "/verify/verify_is_machine_code_available_by_aegisspeed_id"
GET = "/machine/get/get_user_machine_info_by_aegisspeed_id"


class Apps:
    """Starts apps on one instance folder, and closes their connections at the end of a test."""

    def __init__(self, instance: Path) -> None:
        self.instance = instance
        self.key_file = instance / "jwt_secret_key"
        self.started: list[Flask] = []

    def start(self, **config: object) -> Flask:
        """Start the example app as a new process would."""
        app = create_app({"TESTING": True, **config}, instance_path=str(self.instance))
        self.started.append(app)
        return app

    def close(self) -> None:
        """Close every connection that the apps left open."""
        for app in self.started:
            with app.app_context():
                db.session.remove()
                db.engine.dispose()


def users_of(app: Flask) -> dict[str, tuple[str, str]]:
    """Return the stored ID number and password hash of each user."""
    with app.app_context():
        return {
            user.aegisspeed_id: (user.id_number, user.password_hash)
            for user in db.session.scalars(db.select(User))
        }


def bearer(client: FlaskClient, aegisspeed_id: str) -> dict[str, str]:
    """Sign in and return the header with the token."""
    answer = client.post("/login", json={**LOGIN, "user_AegisSpeed_id": aegisspeed_id})
    return {"Authorization": f"Bearer {answer.json['access_token']}"}


def register(client: FlaskClient, aegisspeed_id: str, **changes: str) -> TestResponse:
    """Sign in and register the sample machine, with other values where given."""
    body = {**demo.REQUEST_EXAMPLE, "user_AegisSpeed_id": aegisspeed_id, **changes}
    return client.post(REGISTER, json=body, headers=bearer(client, aegisspeed_id))
