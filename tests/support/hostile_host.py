"""A host with error handlers for everything and hooks around every request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from flask import Blueprint, Flask, Response, abort, request, session
from flask_jwt_extended import JWTManager
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from werkzeug.exceptions import HTTPException, TooManyRequests
from werkzeug.test import TestResponse

from flask_aegis_machines import create_blueprint
from flask_aegis_machines._endpoint_definitions import REGISTER
from flask_aegis_machines.stores.sqlalchemy import (
    AccountMixin,
    MachineMixin,
    SQLAlchemyMachineStore,
    SQLAlchemyUserStore,
)
from tests.support.hosts import FIRST, SECOND

Register = Callable[..., TestResponse]
STATUSES = sorted({answer.status for answer in REGISTER.answers if answer.status >= 400} | {405})
DATA: dict[str, dict[str, object]] = {
    "10000": {"machine_code": "abcd1234efgh5678ijkl9012mnop3456", "user_id": "110***********1234"},
    "10400": {"errors": {"machine_cpu": ["must be at most 255 characters, without control characters"]}},
}
FAST = "PRAGMA synchronous=OFF"
db = SQLAlchemy()


class User(AccountMixin, db.Model):
    """A user of the host."""

    id = db.Column(db.Integer, primary_key=True)


class Machine(MachineMixin, db.Model):
    """A machine of a user."""

    id = db.Column(db.Integer, primary_key=True)
    user_id = db.Column(db.ForeignKey("user.id"), nullable=False)


class Visit(db.Model):
    """What the host's hooks write at each request."""

    id = db.Column(db.Integer, primary_key=True)
    path = db.Column(db.String(255), nullable=False)


def own_page(error: Exception) -> tuple[str, int]:
    """Show the page that the host has for every error."""
    status = getattr(error, "code", 500)
    return f"<h1>Our own {status}</h1>", status


def own_error(status: int) -> NoReturn:
    """Fail as a page of the host's does."""
    if status == 500:
        raise LookupError("a page of the host's broke")
    abort(status)


def take_over_errors(scaffold: Flask | Blueprint) -> None:
    """Give an app or a blueprint a handler for whatever may happen."""
    for kind in (*STATUSES, HTTPException, Exception):
        scaffold.register_error_handler(kind, own_page)


def add_hooks(app: Flask) -> None:
    """Read and write the browser's session and the database's around every request."""

    @app.before_request
    def arrive() -> None:
        session["visits"] = session.get("visits", 0) + 1
        with db.session.no_autoflush:  # on SQLite a flushed row would lock the file
            assert db.session.query(User).count() == 2
        db.session.add(Visit(path=request.path))

    @app.before_request
    def limit() -> None:
        if "X-Over-Limit" in request.headers:
            raise TooManyRequests(retry_after=7)

    @app.after_request
    def leave(response: Response) -> Response:
        response.headers["X-Host"] = f"visit {session['visits']}, {len(db.session.new)} pending"
        db.session.commit()
        return response

    @app.teardown_request
    def forget(error: BaseException | None) -> None:
        db.session.add(Visit(path="left"))
        db.session.commit()


@contextmanager
def hostile_app(folder: Path) -> Iterator[Flask]:
    """Make the host, with the documented stores on a database in a folder."""
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="the key of the host's sessions",
        JWT_SECRET_KEY="a secret of the tests, of more than 32 bytes",
        MAX_CONTENT_LENGTH=32 * 1024,
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{folder / 'host.db'}",
        SQLALCHEMY_TRACK_MODIFICATIONS=False,
    )
    db.init_app(app)
    JWTManager(app)
    take_over_errors(app)
    add_hooks(app)
    app.add_url_rule("/own/<int:status>", view_func=own_error)
    users = SQLAlchemyUserStore(
        db.session, User, identity="id", aegisspeed_id="aegisspeed_id", id_number="id_number"
    )
    machines = SQLAlchemyMachineStore(db.session, Machine)
    app.register_blueprint(create_blueprint(users=users, machines=machines))
    with app.app_context():
        # No test here cuts the power, and waiting for the disk is most of their time.
        event.listen(db.engine, "connect", lambda connection, record: connection.execute(FAST))
        db.create_all()
        for user in (FIRST, SECOND):
            db.session.add(User(id=user.key, aegisspeed_id=user.aegisspeed_id, id_number=user.id_number))
        db.session.commit()
    yield app
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def assert_own_page(answer: TestResponse, status: int) -> None:
    """Assert that the host answered, with its page for this status."""
    assert (answer.status_code, answer.text) == (status, f"<h1>Our own {status}</h1>")
    assert answer.mimetype == "text/html"
