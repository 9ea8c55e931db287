"""What the tests of the realistic host share: its app on a database, its users, and what is stored."""

from __future__ import annotations

import sqlite3
import uuid
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from flask_jwt_extended import create_access_token
from sqlalchemy import create_engine, event, make_url, select, update
from sqlalchemy.pool import NullPool
from werkzeug.test import TestResponse

from flask_aegis_machines import User as BlueprintUser
from flask_aegis_machines.testing import make_machine
from tests.hosts.realistic.app import create_app
from tests.hosts.realistic.app.machines import MACHINES_PER_USER, user_store
from tests.hosts.realistic.app.models import AuditEntry, Machine, Organisation, User, db
from tests.servers import PostgresServer
from tests.support.conforming import OWN_CODES
from tests.support.hosts import REGISTER_PATH, example

SECRET = "a secret of the tests, of more than 32 bytes"
CODES = [make_machine().machine_code[:-2] + f"{number:02}" for number in range(12)]


@dataclass
class Host:
    """The realistic host on a database that its migrations have made."""

    url: str
    config: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.app = make_app(self.url, **self.config)
        self.client: FlaskClient = self.app.test_client()

    def add_user(self, aegisspeed_id: str = "ASD000001", **columns: Any) -> uuid.UUID:
        """Commit a user in an organisation of its own; return its key."""
        key, organisation_id = uuid.uuid4(), uuid.uuid4()
        columns = {
            "email": f"{aegisspeed_id}@example.org",
            "password_hash": "",
            "id_number": "110101199003071234",
            **columns,
        }
        with self.app.app_context():
            db.session.add(Organisation(id=organisation_id, name="An organisation"))
            db.session.flush()
            db.session.add(
                User(id=key, organisation_id=organisation_id, aegisspeed_id=aegisspeed_id, **columns)
            )
            db.session.commit()
        return key

    def add_users(self, number: int) -> dict[str, uuid.UUID]:
        """Add users; return their keys by AegisSpeed ID."""
        names = [f"ASD{count:06}" for count in range(number)]
        return {name: self.add_user(name) for name in names}

    def change_user(self, key: uuid.UUID, **columns: Any) -> None:
        """Change a user, as staff would."""
        with self.app.app_context():
            db.session.execute(update(User).where(User.id == key).values(columns))
            db.session.commit()

    def find(self, key: uuid.UUID) -> BlueprintUser:
        """Return a user as the stores know it."""
        with self.app.app_context():
            user = user_store.get(str(key))
        assert user is not None
        return user

    def token(self, key: uuid.UUID) -> str:
        """Return an access token of a user."""
        with self.app.app_context():
            token: str = create_access_token(User(id=key))
        return token

    def post(self, path: str, token: str, **body: Any) -> TestResponse:
        """Send JSON with a token, from any thread."""
        headers = {"Authorization": f"Bearer {token}"}
        return self.app.test_client().post(path, json=body, headers=headers)

    def register(
        self,
        token: str,
        machine_code: str = CODES[0],
        aegisspeed_id: str = "ASD000001",
        *,
        prefix: str = "",
    ) -> TestResponse:
        """Register a machine at the endpoints that are mounted under a prefix."""
        return self.post(prefix + REGISTER_PATH, token, **document_of(aegisspeed_id, machine_code))

    def machines(self) -> list[tuple[str, uuid.UUID, uuid.UUID]]:
        """Return code, user and organisation of each stored machine, read on a connection of its own."""
        return self._read(select(Machine.machine_code, Machine.user_id, Machine.organisation_id))

    def audit(self) -> list[tuple[str, uuid.UUID, uuid.UUID]]:
        """Return the same of each audit entry."""
        return self._read(select(AuditEntry.subject, AuditEntry.user_id, AuditEntry.organisation_id))

    def codes(self) -> list[str]:
        """Return the codes of all machines, each of which has its one audit entry."""
        machines = self.machines()
        assert machines == self.audit()
        return [code for code, _, _ in machines]

    def _read(self, query: Any) -> list[Any]:
        engine = create_engine(self.url, poolclass=NullPool)
        with engine.connect() as connection:
            return sorted(tuple(row) for row in connection.execute(query))


def document_of(aegisspeed_id: str, machine_code: str) -> dict[str, Any]:
    """Return the body of a registration."""
    return {**example(), "user_AegisSpeed_id": aegisspeed_id, "machine_code": machine_code}


def codes_of(aegisspeed_id: str, number: int) -> list[str]:
    """Return machine codes that only this user asks for."""
    return [f"{aegisspeed_id:-<30}{count:02}" for count in range(number)]


def assert_limit_held(host: Host, server: PostgresServer, owners: Collection[uuid.UUID]) -> None:
    """Assert that each user has as many machines as allowed, each audited, and that nothing deadlocked."""
    machines = host.machines()
    assert machines == host.audit()
    assert Counter(owner for _, owner, _ in machines) == dict.fromkeys(owners, MACHINES_PER_USER)
    database = make_url(host.url).database
    query = f"SELECT deadlocks FROM pg_stat_database WHERE datname = '{database}'"
    assert server.execute(query) == [(0,)]


def make_app(url: str, **config: Any) -> Flask:
    """Make the app. SQLite enforces foreign keys only on connections that ask for it."""
    settings = {"SQLALCHEMY_DATABASE_URI": url, "JWT_SECRET_KEY": SECRET, OWN_CODES: ["20001"], **config}
    app = create_app(settings)
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            event.listen(db.engine, "connect", _enforce_foreign_keys)
    return app


def _enforce_foreign_keys(connection: sqlite3.Connection, record: object) -> None:
    connection.execute("PRAGMA foreign_keys=ON")
