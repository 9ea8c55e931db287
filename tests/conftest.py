"""A host to mount the blueprint in, made afresh for each test, and servers that last for all tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_jwt_extended import JWTManager, create_access_token
from werkzeug.test import TestResponse

from flask_aegis_machines import create_blueprint
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore
from tests.servers import (
    GaleraCluster,
    MariaDBServer,
    PostgresServer,
    SynchronousPair,
    require_galera,
    require_mariadb,
    require_postgres,
)
from tests.support import conforming
from tests.support.hosts import FIRST, REGISTER_PATH, SECOND

pytest.register_assert_rewrite("flask_aegis_machines.testing")


# Options meant for this run of pytest are not meant for one that a test starts.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}


@pytest.fixture(autouse=True)
def _answers_conform(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test whose client gets an answer from the endpoints that the OpenAPI document does not allow."""
    conforming.watch(monkeypatch)


@pytest.fixture
def users() -> MemoryUserStore:
    """Two users, of whom nobody has a machine."""
    return MemoryUserStore([FIRST, SECOND])


@pytest.fixture
def machines() -> MemoryMachineStore:
    """No machines."""
    return MemoryMachineStore()


@pytest.fixture
def app(users: MemoryUserStore, machines: MemoryMachineStore) -> Flask:
    """A host with tokens of Flask-JWT-Extended, as most hosts have them."""
    app = Flask(__name__)
    app.config["JWT_SECRET_KEY"] = "a secret of the tests, of more than 32 bytes"
    JWTManager(app)
    app.register_blueprint(create_blueprint(users=users, machines=machines))
    return app


@pytest.fixture
def token(app: Flask) -> str:
    """An access token of the first user."""
    with app.app_context():
        return create_access_token(identity="1")


@pytest.fixture
def document() -> dict[str, Any]:
    """The request example of the API document."""
    return {
        "user_AegisSpeed_id": "ASD000001",
        "machine_code": "abcd1234efgh5678ijkl9012mnop3456",
        "windows_uuid": "12345678-1234-1234-1234-123456789012",
        "windows_product_id": "12345-12345-12345-12345-12345",
        "machine_os_name": "Microsoft Windows 11",
        "machine_os_version": "10.0.22631",
        "machine_architecture": "x64",
        "machine_architecture_type": "AMD64",
        "machine_platform": "Win32",
        "machine_cpu": "12th Gen Intel(R) Core(TM) i7-12700K",
        "machine_motherboard": "ASUS PRIME Z690-A",
        "machine_mac_address": "00:11:22:33:44:55",
    }


@pytest.fixture
def register(client: FlaskClient, token: str, document: dict[str, Any]) -> Callable[..., TestResponse]:
    """Register the example as the first user; keyword arguments change fields, ``headers`` or the body."""

    def post(*, headers: dict[str, str] | None = None, **changes: Any) -> TestResponse:
        how = {name: changes.pop(name) for name in ("data", "content_type", "json") if name in changes}
        if not how:
            how = {"json": {**document, **changes}}
        sent = {"Authorization": f"Bearer {token}"} if headers is None else headers
        return client.post(REGISTER_PATH, headers=sent, **how)

    return post


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A private PostgreSQL."""
    require_postgres()
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def pair() -> Iterator[SynchronousPair]:
    """A PostgreSQL with a synchronous standby."""
    require_postgres()
    with SynchronousPair() as pair:
        yield pair


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDBServer]:
    """A private MariaDB."""
    require_mariadb()
    with MariaDBServer() as server:
        yield server


@pytest.fixture(scope="session")
def galera() -> Iterator[GaleraCluster]:
    """A Galera cluster of three nodes."""
    require_galera()
    with GaleraCluster() as cluster:
        yield cluster
