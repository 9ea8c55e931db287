"""Apps whose commands are run, and stores to mount there."""

from __future__ import annotations

from typing import Any, NoReturn

from click.testing import Result
from flask import Flask
from flask_jwt_extended import JWTManager

from flask_aegis_machines import User, create_blueprint
from flask_aegis_machines.stores.memory import MemoryMachineStore
from tests.support.hosts import FIRST, SECOND

SECRET = "S3cret"


def make_app(
    users: object, machines: object, *, config: dict[str, Any] | None = None, **options: Any
) -> Flask:
    """Return an app with these stores and a good secret; options go to the blueprint."""
    app = Flask(__name__)
    app.config.update({"JWT_SECRET_KEY": "x" * 32, **(config or {})})
    JWTManager(app)
    app.register_blueprint(create_blueprint(users=users, machines=machines, **options))
    return app


def invoke(app: Flask, *arguments: object) -> Result:
    """Run a command of the blueprint's group."""
    return app.test_cli_runner().invoke(args=["aegis-machines", *map(str, arguments)])


class FailingStore(MemoryMachineStore):
    """A store whose errors quote values."""

    def _fail(self, *arguments: object, **options: object) -> NoReturn:
        raise ValueError(SECRET)

    bind = find = problems = owner_of = try_binding = _fail


class DuckMachines:
    """A machine store with only the required methods, which does not inherit from ``MachineStore``."""

    def __init__(self) -> None:
        self.kept = MemoryMachineStore()
        self.bind, self.owner_of, self.list_for = self.kept.bind, self.kept.owner_of, self.kept.list_for


class DuckUsers:
    """A user store with only the required method, which does not inherit from ``UserStore``."""

    def get(self, identity: str) -> User | None:
        return {"1": FIRST, "2": SECOND}.get(identity)
