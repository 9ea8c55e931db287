"""The tables by migrations of the host's, as Flask-Migrate writes and applies them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, Integer, MetaData, String, Table, delete, insert, inspect
from sqlalchemy.engine import Engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import sessionmaker

from flask_aegis_machines import MachineCodeTaken
from flask_aegis_machines._records import MACHINE_FIELDS
from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore
from flask_aegis_machines.testing import make_machine
from tests.support.hosts import FIRST, SECOND
from tests.support.models import Base
from tests.support.pages import blocks_of

PAGE = Path(__file__).parents[3] / "docs" / "migrations.md"

HOST = """
import sys

import flask_migrate
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_aegis_machines.stores.sqlalchemy import AccountMixin, MachineMixin

app = Flask("host")
app.config["SQLALCHEMY_DATABASE_URI"] = sys.argv[1]
db = SQLAlchemy(app)


class Account(AccountMixin, db.Model):
    id = db.Column(db.Integer, primary_key=True)


class Machine(MachineMixin, db.Model):
    id = db.Column(db.Integer, primary_key=True)
    user_id = db.Column(db.ForeignKey("account.id"), nullable=False, index=True)


flask_migrate.Migrate(app, db)
with app.app_context():
    flask_migrate.init()
    flask_migrate.migrate()
    flask_migrate.upgrade()
    flask_migrate.migrate()
"""


def test_autogenerate_sees_no_difference_after_its_own_migration(engine: Engine, tmp_path: Path) -> None:
    """What the mixins declare is what a migration makes, key and collation included, and stays so."""
    Base.metadata.drop_all(engine)
    (tmp_path / "host.py").write_text(HOST)
    command = [sys.executable, "host.py", engine.url.render_as_string(hide_password=False)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "No changes in schema detected" in done.stderr
    assert len(list((tmp_path / "migrations" / "versions").glob("*.py"))) == 1
    engine.dispose()  # SQLite remembers the schema of a connection
    keys = {
        key["name"]: key["column_names"] for key in inspect(engine).get_indexes("machine") if key["unique"]
    }
    assert keys == {"ix_machine_machine_code": ["machine_code"]}
    if engine.dialect.name == "mysql":
        collations = {
            column["name"]: getattr(column["type"], "collation", None)
            for column in inspect(engine).get_columns("machine")
        }
        assert collations["machine_code"] == "utf8mb4_bin"


@pytest.fixture
def host() -> dict[str, Any]:
    """The names of the documentation's model for a table that is there already, and of its migration."""
    names: dict[str, Any] = {"db": SQLAlchemy()}
    exec("class User(db.Model):\n    id = db.Column(db.Integer, primary_key=True)", names)
    blocks = [block.text for block in blocks_of(PAGE)]
    for definition in ("class Device(", "def upgrade("):
        (block,) = [block for block in blocks if definition in block]
        exec(block, names)
    return names


def insert_into_old_table(engine: Engine, *owners: object) -> Table:
    """Make the table as a host has it, with one machine, in a row for each owner."""
    renamed = {"machine_code": "code", "machine_cpu": "processor"}
    old = Table(
        "device",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("owner", Integer, nullable=False),
        *(Column(renamed.get(name, name), String(80)) for name in MACHINE_FIELDS),
    )
    row = {renamed.get(name, name): getattr(make_machine(), name) for name in MACHINE_FIELDS}
    with engine.begin() as connection:
        old.create(connection)
        connection.execute(insert(old), [{"owner": owner, **row} for owner in owners])
    return old


def migrate(engine: Engine, host: dict[str, Any]) -> None:
    """Run the documentation's migration."""
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        host["upgrade"]()


def test_a_migration_refuses_a_code_with_two_owners(engine: Engine, host: dict[str, Any]) -> None:
    """The documentation's migration is refused until then, leaves nothing in its own way, and runs again."""
    old = insert_into_old_table(engine, FIRST.key, SECOND.key)
    with pytest.raises(IntegrityError):
        migrate(engine, host)
    with engine.begin() as connection:
        connection.execute(delete(old).where(old.c.owner == SECOND.key))
    migrate(engine, host)
    store = SQLAlchemyMachineStore(sessionmaker(engine), host["Device"])
    assert [machine.machine_code for machine in store.list_for(FIRST)] == [make_machine().machine_code]
    assert not store.list_for(SECOND)


def test_a_table_that_a_host_has_already_is_taken_over(engine: Engine, host: dict[str, Any]) -> None:
    """After the documentation's migration old rows have their owners for ever, and new ones join them."""
    insert_into_old_table(engine, FIRST.key)
    migrate(engine, host)
    store = SQLAlchemyMachineStore(sessionmaker(engine), host["Device"])
    for user in (FIRST, SECOND):
        with pytest.raises(MachineCodeTaken) as taken:
            store.bind(make_machine(), user)
        assert taken.value.by_same_user is (user is FIRST)
    twin = make_machine(make_machine().machine_code.upper())
    store.bind(twin, FIRST)
    first, second = store.list_for(FIRST)
    assert replace(first, registered_at=None) == make_machine()
    assert store.list_for(FIRST, after=first.machine_code) == [second]
    assert replace(second, registered_at=None) == twin
