"""Hosts on Flask-SQLAlchemy-Lite: one engine, several, and its isolation of tests."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, orm, select
from sqlalchemy.engine import Connection, Engine

from flask_aegis_machines.stores.sqlalchemy import (
    AccountMixin,
    MachineMixin,
    SQLAlchemyMachineStore,
    SQLAlchemyUserStore,
)
from tests.servers import require_module
from tests.support.database_hosts import CODE, IDS, assert_binds_once, mount, only_2, read
from tests.support.hosts import USER_COLUMNS

pytestmark = only_2

MakeHost = Callable[..., tuple[Flask, Any, type]]


@pytest.fixture
def make_host(tmp_path: Path) -> MakeHost:
    """Return a maker of hosts with two engines, which names the engine of each model."""
    require_module("flask_sqlalchemy_lite", "Flask-SQLAlchemy-Lite")
    from flask_sqlalchemy_lite import SQLAlchemy

    def make(users_in: str = "default", machines_in: str = "default") -> tuple[Flask, Any, type]:
        class Base(orm.DeclarativeBase):
            pass

        class User(AccountMixin, Base):
            __tablename__ = "user"
            id: orm.Mapped[int] = orm.mapped_column(primary_key=True)

        class Machine(MachineMixin, Base):
            __tablename__ = "machine"
            id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
            user_id: orm.Mapped[int] = orm.mapped_column(index=True)

        binds = {User: users_in, Machine: machines_in}
        db = SQLAlchemy(session_options={"binds": binds})
        app = Flask("host")
        engines = {name: f"sqlite:///{tmp_path}/{name}.db" for name in ("default", "other")}
        app.config["SQLALCHEMY_ENGINES"] = engines
        db.init_app(app)
        with app.app_context():
            User.__table__.create(db.engines[users_in])
            Machine.__table__.create(db.engines[machines_in])
            db.session.add(User(id=1, **IDS))
            db.session.commit()
        users = SQLAlchemyUserStore(lambda: db.session, User, **USER_COLUMNS)
        return mount(users, SQLAlchemyMachineStore(lambda: db.session, Machine), app), db, Machine

    return make


@pytest.mark.parametrize("users_in", ["default", "other"])
@pytest.mark.parametrize("machines_in", ["default", "other"])
def test_engines(users_in: str, machines_in: str, make_host: MakeHost, tmp_path: Path) -> None:
    """Users are looked up and machines bound each on the engine that ``binds`` names for their model."""
    app, _, _ = make_host(users_in, machines_in)
    assert_binds_once(app)
    assert read(tmp_path / f"{machines_in}.db") == [(CODE, 1)]


def test_a_suite_that_rolls_everything_back(make_host: MakeHost, tmp_path: Path) -> None:
    """Under ``db.test_isolation()`` a host's tests see the machine, and nothing is left of it."""
    app, db, machine = make_host()
    with app.app_context():
        leave_transactions_to_sqlalchemy(db.engine)
        with db.test_isolation():
            assert_binds_once(app)
            assert db.session.scalars(select(machine.machine_code)).all() == [CODE]
    assert read(tmp_path / "default.db") == []


def leave_transactions_to_sqlalchemy(engine: Engine) -> None:
    """Set SQLite up as ``test_isolation()`` asks for: its driver begins no transaction by itself."""

    @event.listens_for(engine, "connect")
    def stop_the_driver(connection: sqlite3.Connection, record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    engine.dispose()
