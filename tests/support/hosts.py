"""A host without tokens of its own, its two users, and the answers that it gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NoReturn

from flask import Flask
from flask.testing import FlaskClient
from flask_jwt_extended import create_access_token
from werkzeug.test import TestResponse

from flask_aegis_machines import Machine, User, create_blueprint
from flask_aegis_machines._endpoint_definitions import REGISTER
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore

REGISTER_PATH = REGISTER.path
FIRST = User(1, "ASD000001", "110101199003071234")
SECOND = User(2, "ASD000002", "220202199104082345")
#: Arguments of a ``SQLAlchemyUserStore`` on a model with ``AccountMixin``, whose identity is its primary key.
USER_COLUMNS = {"identity": "id", "aegisspeed_id": "aegisspeed_id", "id_number": "id_number"}


class BrokenStore(MemoryMachineStore):
    """Fails with whatever it is given."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def bind(self, machine: Machine, user: User) -> NoReturn:
        raise self.error


def mount(machines: MemoryMachineStore, authenticate: Callable[[], object | None] = lambda: 1) -> Flask:
    """Make a host without tokens of its own."""
    app = Flask("host")
    users = MemoryUserStore([FIRST, SECOND])
    app.register_blueprint(create_blueprint(users=users, machines=machines, authenticate=authenticate))
    return app


def authorization(app: Flask, identity: str) -> dict[str, str]:
    """Return the header that a user signed in sends."""
    with app.app_context():
        return {"Authorization": f"Bearer {create_access_token(identity=identity)}"}


def example() -> dict[str, object]:
    """Return a good document of the first user's, for hosts without the fixtures."""
    facts = dict.fromkeys([name for name in Machine.__dataclass_fields__ if name != "registered_at"], "x64")
    return {**facts, "user_AegisSpeed_id": "ASD000001", "machine_code": "0123456789abcdef" * 2}


def post_with_wrongs(
    client: FlaskClient, path: str, document: Mapping[str, object], headers: dict[str, str], wrongs: set[str]
) -> TestResponse:
    """Send a document whose body or Content-Type is wrong in each way that is named by its code."""
    body = b"[]" if "10400 body" in wrongs else client.application.json.dumps(document).encode()
    if "10413" in wrongs:
        body += b" " * 17000
    content_type = "text/plain" if "10415" in wrongs else "application/json"
    return client.post(path, data=body, content_type=content_type, headers=headers)


def envelope(code: str, **data: object) -> dict[str, object]:
    """Return the whole body of the registration's answer that has a code."""
    answer = next(answer for answer in REGISTER.answers if answer.code == code)
    return {"status": answer.status, "code": code, "result": answer.result, "data": data}


def assert_answer(answer: TestResponse, code: str, **data: object) -> None:
    """Assert the whole of an answer: JSON, its envelope, and the status in two places."""
    assert answer.mimetype == "application/json"
    assert answer.json == envelope(code, **data)
    assert answer.status_code == answer.json["status"]
    assert ("WWW-Authenticate" in answer.headers) == (code == "10401")
