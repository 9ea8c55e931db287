"""A host with Flask-Security: its session, its token in its own header, and its token as a bearer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask import Flask, current_app
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from itsdangerous import BadData, TimestampSigner
from sqlalchemy import select

from flask_aegis_machines import bearer, create_blueprint, login_identity
from flask_aegis_machines.stores.sqlalchemy import MachineMixin, SQLAlchemyMachineStore, SQLAlchemyUserStore
from tests.servers import require_module
from tests.support.hosts import REGISTER_PATH, assert_answer
from tests.support.tokens import SECRET, ask, bearing

SIGN_IN = {"email": "ada@example.org", "password": "correct horse"}
Start = Callable[..., Flask]


@pytest.fixture(scope="module")
def models() -> SimpleNamespace:
    """The host's models: what Flask-Security asks for, and the two columns that we do."""
    require_module("flask_security", "Flask-Security")
    from flask_security import RoleMixin, UserMixin

    db = SQLAlchemy()
    roles_users = db.Table(
        "roles_users",
        db.Column("user_id", db.ForeignKey("user.id")),
        db.Column("role_id", db.ForeignKey("role.id")),
    )

    class Role(RoleMixin, db.Model):
        id = db.Column(db.Integer, primary_key=True)
        name = db.Column(db.String(80), unique=True)

    class User(UserMixin, db.Model):
        id = db.Column(db.Integer, primary_key=True)
        email = db.Column(db.String(255), unique=True)
        password = db.Column(db.String(255))
        active = db.Column(db.Boolean, nullable=False)
        fs_uniquifier = db.Column(db.String(64), unique=True, nullable=False)
        roles = db.relationship("Role", secondary=roles_users)
        aegisspeed_id = db.Column(db.String(9), unique=True)
        id_number = db.Column(db.String(18))

    class Machine(MachineMixin, db.Model):
        id = db.Column(db.Integer, primary_key=True)
        user_id = db.Column(db.ForeignKey("user.id"), nullable=False, index=True)

    return SimpleNamespace(db=db, Role=Role, User=User, Machine=Machine)


@pytest.fixture
def start(models: SimpleNamespace, tmp_path: Path) -> Iterator[Start]:
    """Make hosts on a database of their own, and close it after the test."""
    from flask_security import Security, SQLAlchemyUserDatastore

    db = models.db
    made = []

    def start(authenticate: Callable[[], object | None], **config: object) -> Flask:
        app = Flask("host")
        app.config.update(
            SECRET_KEY=SECRET,
            SECURITY_PASSWORD_SALT="a salt",
            SECURITY_PASSWORD_HASH="plaintext",
            SECURITY_PASSWORD_SCHEMES=["plaintext"],
            SECURITY_DEPRECATED_PASSWORD_SCHEMES=[],
            WTF_CSRF_ENABLED=False,
            SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'host.db'}",
            AEGIS_MACHINES_REPEAT_BY_OWNER=True,
            **config,
        )
        db.init_app(app)
        datastore = SQLAlchemyUserDatastore(db, models.User, models.Role)
        Security(app, datastore)
        users = SQLAlchemyUserStore(
            db.session,
            models.User,
            identity="fs_uniquifier",
            key="id",
            aegisspeed_id="aegisspeed_id",
            id_number="id_number",
        )
        machines = SQLAlchemyMachineStore(db.session, models.Machine)
        app.register_blueprint(create_blueprint(users=users, machines=machines, authenticate=authenticate))
        with app.app_context():
            db.create_all()
            datastore.create_user(**SIGN_IN, aegisspeed_id="ASD000001", id_number="110101199003071234")
            datastore.commit()
        made.append(app)
        return app

    yield start
    for app in made:
        with app.app_context():
            db.engine.dispose()


def sign_in(app: Flask) -> tuple[FlaskClient, str]:
    """Return a client that has signed in by the host's page, and the token that the page handed out."""
    client = app.test_client()
    answer = client.post("/login?include_auth_token", json=SIGN_IN).get_json()
    return client, answer["response"]["user"]["authentication_token"]


def change(app: Flask, **values: object) -> None:
    """Change the host's user."""
    datastore = app.extensions["security"].datastore
    with app.app_context():
        user = datastore.find_user(email=SIGN_IN["email"])
        for name, value in values.items():
            setattr(user, name, value)
        datastore.commit()


def test_a_session(start: Start, models: SimpleNamespace) -> None:
    """Whoever signed in by the host's page binds machines to their row, until the sign-out."""
    app = start(login_identity)
    client, _ = sign_in(app)
    assert ask(client) == "10000"
    with app.app_context():
        (machine,) = models.db.session.execute(select(models.Machine)).scalars()
        assert machine.user_id == 1
    client.post("/logout", json={})
    assert ask(client) == "10401"


def test_a_token_in_its_own_header(start: Start) -> None:
    """``Authentication-Token`` reaches us by Flask-Security's own request loader."""
    app = start(login_identity)
    _, token = sign_in(app)
    client = app.test_client()
    own, forged = {"Authentication-Token": token}, {"Authentication-Token": "x" + token}
    assert ask(client, headers=own) == "10000"
    assert [ask(client), ask(client, token), ask(client, headers=forged)] == ["10401"] * 3
    change(app, active=False)
    assert ask(client, headers=own) == "10401"


def as_bearer(token: str) -> object:
    """Verify a token of Flask-Security's that is sent as the API document has it."""
    from flask_security.utils import parse_auth_token

    try:
        claims = parse_auth_token(token)
    except (BadData, ValueError):
        return None
    user = current_app.extensions["security"].datastore.find_user(fs_uniquifier=claims["uid"])
    return user.get_id() if user and user.active and user.verify_auth_token(claims) else None


def test_a_token_as_a_bearer(start: Start) -> None:
    """With ``bearer(verify)`` the same token is sent as the API document has it, and in no other way."""
    app = start(bearer(as_bearer))
    session, token = sign_in(app)
    client = app.test_client()
    assert ask(client, token) == "10000"
    assert [ask(client, bad) for bad in ("x", "x" + token, token[:-1])] == ["10401"] * 3
    assert [ask(session), ask(client, headers={"Authentication-Token": token})] == ["10401"] * 2
    change(app, active=False)
    assert ask(client, token) == "10401"


@pytest.mark.parametrize("how", ["Authentication-Token", "Authorization"])
def test_tokens_end(start: Start, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past its age, or past a change of ``fs_uniquifier``, a token is nobody's."""
    as_documented = how == "Authorization"
    app = start(bearer(as_bearer) if as_documented else login_identity, SECURITY_TOKEN_MAX_AGE=600)
    with monkeypatch.context() as patch:
        then = int(time.time()) - 700
        patch.setattr(TimestampSigner, "get_timestamp", lambda signer: then)
        _, old = sign_in(app)
    _, young = sign_in(app)
    sent = [bearing(token) if as_documented else {how: token} for token in (old, young)]
    client = app.test_client()
    assert [ask(client, headers=headers) for headers in sent] == ["10401", "10000"]
    change(app, fs_uniquifier="another")
    assert [ask(client, headers=headers) for headers in sent] == ["10401", "10401"]


def test_a_body_that_the_token_is_looked_for_in(start: Start) -> None:
    """Flask-Security reads the body in search of a token; what it cannot read is still answered by us."""
    client = start(login_identity).test_client()
    nested = client.post(REGISTER_PATH, data="[" * 16000, content_type="application/json")
    assert_answer(nested, "10401")
    assert_answer(client.post(REGISTER_PATH, data="{", content_type="application/json"), "10401")


def test_the_host_s_answers_stay_on_its_own_pages(start: Start) -> None:
    """``auth_required`` answers as the host has it, and we as the API document has it."""
    from flask_security import auth_required

    app = start(login_identity)
    app.post("/theirs")(auth_required("token")(lambda: "theirs"))
    _, token = sign_in(app)
    client = app.test_client()
    theirs = client.post("/theirs", json={})
    assert (theirs.status_code, list(theirs.get_json())) == (401, ["meta", "response"])
    assert ask(client) == "10401"
    assert client.post("/theirs", headers={"Authentication-Token": token}).text == "theirs"
