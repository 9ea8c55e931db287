"""Hosts that look their tokens and users up in a database, with Flask-SQLAlchemy."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask, Response
from flask_jwt_extended import JWTManager, create_access_token, current_user, get_jti
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import delete, select

from flask_aegis_machines import bearer, create_blueprint, jwt_identity
from flask_aegis_machines.stores.sqlalchemy import (
    AccountMixin,
    MachineMixin,
    SQLAlchemyMachineStore,
    SQLAlchemyUserStore,
)
from tests.support.tokens import SECRET, ask

db = SQLAlchemy()


class Account(AccountMixin, db.Model):
    """A user."""

    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40))


class ApiKey(db.Model):
    """A key that was handed out; only its hash is kept, so that nobody who reads the table can use it."""

    digest = db.Column(db.String(64), primary_key=True)
    account_id = db.Column(db.ForeignKey("account.id"), nullable=False)


class RevokedToken(db.Model):
    """A token that was signed out."""

    jti = db.Column(db.String(36), primary_key=True)


class Machine(MachineMixin, db.Model):
    """A machine of a user's."""

    id = db.Column(db.Integer, primary_key=True)
    user_id = db.Column(db.ForeignKey("account.id"), nullable=False, index=True)


@contextmanager
def host(path: Path, authenticate: Callable[[], object | None]) -> Iterator[Flask]:
    """Make a host with a database in a file and one user in it."""
    app = Flask("host")
    app.config.update(
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{path / 'host.db'}",
        JWT_SECRET_KEY=SECRET,
        AEGIS_MACHINES_REPEAT_BY_OWNER=True,
    )
    db.init_app(app)
    JWTManager(app)
    users = SQLAlchemyUserStore(
        db.session, Account, identity="id", aegisspeed_id="aegisspeed_id", id_number="id_number"
    )
    machines = SQLAlchemyMachineStore(db.session, Machine)
    app.register_blueprint(create_blueprint(users=users, machines=machines, authenticate=authenticate))
    with app.app_context():
        db.create_all()
        save(Account(id=1, name="Ada", aegisspeed_id="ASD000001", id_number="110101199003071234"))
    try:
        yield app
    finally:
        with app.app_context():
            db.engine.dispose()


def save(row: object) -> None:
    """Commit a row of the host's."""
    db.session.add(row)
    db.session.commit()


def owners(app: Flask) -> list[int]:
    """Return whose machines are stored."""
    with app.app_context():
        return list(db.session.execute(select(Machine.user_id)).scalars())


def digest_of(key: str) -> str:
    """Return what the table keeps of a key. Keys are long and random: a fast hash is enough."""
    return hashlib.sha256(key.encode()).hexdigest()


def test_api_keys(tmp_path: Path) -> None:
    """A key is found by its hash; one that is revoked, changed, or the hash itself, is nobody's."""

    def verify(key: str) -> object:
        return db.session.scalar(select(ApiKey.account_id).where(ApiKey.digest == digest_of(key)))

    with host(tmp_path, bearer(verify)) as app:
        client = app.test_client()
        key, unknown = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        with app.app_context():
            save(ApiKey(digest=digest_of(key), account_id=1))
        others = (unknown, key[:-1], key + "x", key.swapcase(), digest_of(key), "'or'1'='1", "\xe9")
        assert [ask(client, other) for other in others] == ["10401"] * 7
        assert owners(app) == []
        assert ask(client, key) == "10000"
        assert owners(app) == [1]
        with app.app_context():
            db.session.execute(delete(ApiKey))
            db.session.commit()
        assert ask(client, key) == "10401"


def test_a_user_look_up_in_the_host_s_session(tmp_path: Path) -> None:
    """The host finds its user through ``db.session``, keeps it for the view, and a deleted one is 10003."""
    with host(tmp_path, jwt_identity) as app:
        manager: JWTManager = app.extensions["flask-jwt-extended"]
        manager.user_lookup_loader(lambda header, claims: db.session.get(Account, int(claims["sub"])))
        audit = []

        @app.after_request
        def write_down(response: Response) -> Response:
            if response.status_code == 200:
                audit.append(current_user.name)
            return response

        with app.app_context():
            here, gone = create_access_token("1"), create_access_token("2")
        client = app.test_client()
        assert ask(client, here) == "10000"
        assert owners(app) == [1]
        assert ask(client, gone) == "10003"
        assert ask(client, gone, user_AegisSpeed_id="") == "10002"
        with app.app_context():
            save(Account(id=2, aegisspeed_id="ASD000002", id_number=""))
        assert ask(client, gone) == "10006"
        assert audit == ["Ada"]


def test_a_blocklist_in_the_host_s_session(tmp_path: Path) -> None:
    """A token that the host has written down as revoked is refused from the next request on."""
    with host(tmp_path, jwt_identity) as app:
        manager: JWTManager = app.extensions["flask-jwt-extended"]

        @manager.token_in_blocklist_loader
        def is_revoked(header: dict[str, str], claims: dict[str, str]) -> bool:
            return db.session.get(RevokedToken, claims["jti"]) is not None

        client = app.test_client()
        with app.app_context():
            token = create_access_token("1")
        assert ask(client, token) == "10000"
        with app.app_context():
            save(RevokedToken(jti=get_jti(token)))
        assert ask(client, token) == "10401"
