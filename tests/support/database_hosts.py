"""Hosts on databases of many kinds, which bind the machine of the first user."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy
from flask import Flask
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from flask_aegis_machines import MachineStore, UserStore, bearer, create_blueprint
from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore, SQLAlchemyUserStore
from tests.support.hosts import FIRST, REGISTER_PATH, USER_COLUMNS, assert_answer, example
from tests.support.models import Account, Base, Machine

CODE = str(example()["machine_code"])
IDS = {"aegisspeed_id": FIRST.aegisspeed_id, "id_number": FIRST.id_number}
only_2 = pytest.mark.skipif(sqlalchemy.__version__ < "2", reason="SQLAlchemy 1.4 has nothing of the kind")


def mount(users: UserStore, machines: MachineStore, app: Flask | None = None) -> Flask:
    """Mount the blueprint in a host whose tokens are the identities of its users."""
    app = app or Flask("host")
    app.register_blueprint(create_blueprint(users=users, machines=machines, authenticate=bearer(str)))
    return app


def register(app: Flask, identity: str = "1", **changes: str) -> TestResponse:
    """Register the machine as the user of an identity, whose AegisSpeed ID is the first user's."""
    headers = {"Authorization": f"Bearer {identity}"}
    return app.test_client().post(REGISTER_PATH, json={**example(), **changes}, headers=headers)


def assert_binds_once(app: Flask, identity: str = "1") -> None:
    """Assert that the machine is bound the first time and taken the second."""
    assert_answer(register(app, identity), "10000", machine_code=CODE, user_id="110***********1234")
    assert_answer(register(app, identity), "10004")


def register_at_once(app: Flask) -> list[str]:
    """Register eight machines in as many threads, and return the codes of the answers."""
    start = Barrier(8)

    def attempt(number: int) -> str:
        start.wait(60)
        answer = register(app, machine_code=f"{number:032}")
        assert answer.json is not None
        return str(answer.json["code"])

    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(attempt, range(1, 9)))


def read(path: Path, query: str = "SELECT machine_code, user_id FROM machine") -> list[tuple[Any, ...]]:
    """Read an SQLite file on a connection of its own."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def make_tables(engine: Engine) -> None:
    """Make the host's tables with its first user."""
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Account(id=1, **IDS))
        session.commit()


def make_host(session: Callable[[], Session]) -> Flask:
    """Make a host whose stores have this session."""
    users = SQLAlchemyUserStore(session, Account, **USER_COLUMNS)
    return mount(users, SQLAlchemyMachineStore(session, Machine))
