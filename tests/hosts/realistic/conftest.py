"""The realistic host on SQLite and on PostgreSQL, each test on a database of its own."""

from __future__ import annotations

import itertools
import shutil
import uuid
from pathlib import Path

import flask_migrate
import pytest

from tests.servers import PostgresServer
from tests.support.realistic import Host, make_app

from .app.models import db

NUMBERS = itertools.count(1)
TEMPLATE = "realistic"


def migrate(url: str) -> None:
    """Run the migrations of the host as ``flask db upgrade`` does, and leave no connection open."""
    app = make_app(url)
    with app.app_context():
        flask_migrate.upgrade()
        db.engine.dispose()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of SQLite with the tables of the host."""
    path = tmp_path_factory.mktemp("realistic") / "template.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_server(postgres: PostgresServer) -> PostgresServer:
    """A PostgreSQL with a database that has the tables of the host."""
    postgres.create_database(TEMPLATE)
    migrate(postgres.url(database=TEMPLATE))
    return postgres


@pytest.fixture
def sqlite_url(migrated_file: Path, tmp_path: Path) -> str:
    """A copy of the file."""
    return f"sqlite:///{shutil.copy(migrated_file, tmp_path / 'host.db')}"


@pytest.fixture
def postgres_url(migrated_server: PostgresServer) -> str:
    """A copy of the database."""
    name = f"{TEMPLATE}_{next(NUMBERS)}"
    migrated_server.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    return migrated_server.url(database=name)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.clusters)])
def url(request: pytest.FixtureRequest) -> str:
    """A database of each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def host(url: str) -> Host:
    """The host with an empty database."""
    return Host(url)


@pytest.fixture
def owner(host: Host) -> uuid.UUID:
    """A user without machines."""
    return host.add_user()
