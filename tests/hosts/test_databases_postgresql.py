"""Hosts on PostgreSQL: UUIDs as keys, schemas, and users in another database than their machines."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy
from flask import Flask
from sqlalchemy import Column, ForeignKey, Integer, String, create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session, declarative_base, sessionmaker

from flask_aegis_machines.stores.sqlalchemy import (
    AccountMixin,
    MachineMixin,
    SQLAlchemyMachineStore,
    SQLAlchemyUserStore,
)
from tests.support.database_hosts import (
    CODE,
    IDS,
    assert_binds_once,
    make_host,
    make_tables,
    mount,
    only_2,
    register,
)
from tests.support.engines import ENGINES, POSTGRESQL
from tests.support.hosts import USER_COLUMNS, assert_answer
from tests.support.live_databases import mark_slow

KEY = uuid.UUID("0f0e0d0c-0b0a-0908-0706-050403020100")


@pytest.fixture(params=mark_slow(POSTGRESQL))
def engine(request: pytest.FixtureRequest) -> Engine:
    """An engine on an empty database, with each driver."""
    return ENGINES[request.param](request)


def read(engine: Engine, table: str = "machine") -> list[tuple[str, str]]:
    """Read a table of machines on a connection of its own, the owner as text."""
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        return connection.execute(f"SELECT machine_code, user_id::text FROM {table}").fetchall()


def serve(sessions: sessionmaker[Session], user: Any, machine: Any, key: object = 1) -> Flask:
    """Add the first user with this key, and make a host on these models, whose tables are there."""
    with sessions() as session:
        session.add(user(id=key, **IDS))
        session.commit()
    return mount(
        SQLAlchemyUserStore(sessions, user, **USER_COLUMNS), SQLAlchemyMachineStore(sessions, machine)
    )


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        (postgresql.UUID(as_uuid=True), KEY),
        (postgresql.UUID(as_uuid=False), str(KEY)),
        pytest.param(getattr(sqlalchemy, "Uuid", None), KEY, marks=only_2),
        (String(36), str(KEY)),
    ],
    ids=["postgresql.UUID", "postgresql.UUID as text", "Uuid", "String"],
)
def test_uuids(kind: Any, key: object, engine: Engine) -> None:
    """A user whose key is a UUID, of whichever type, is found by its text; other text is nobody's."""
    base: Any = declarative_base()

    class User(AccountMixin, base):
        __tablename__ = "user"
        id = Column(kind, primary_key=True)

    class Machine(MachineMixin, base):
        __tablename__ = "machine"
        id = Column(Integer, primary_key=True)
        user_id = Column(ForeignKey("user.id"), nullable=False, index=True)

    base.metadata.create_all(engine)
    app = serve(sessionmaker(engine), User, Machine, key)
    for stranger in ("1", "nobody", str(uuid.UUID(int=1))):
        assert_answer(register(app, stranger), "10003")
    assert_binds_once(app, str(KEY))
    assert read(engine) == [(CODE, str(KEY))]


def test_schemas(engine: Engine) -> None:
    """Users and machines are each in a schema of their own, with a foreign key between them."""
    base: Any = declarative_base()

    class User(AccountMixin, base):
        __tablename__ = "user"
        __table_args__ = {"schema": "staff"}  # noqa: RUF012
        id = Column(Integer, primary_key=True)

    class Machine(MachineMixin, base):
        __tablename__ = "machine"
        __table_args__ = {"schema": "devices"}  # noqa: RUF012
        id = Column(Integer, primary_key=True)
        user_id = Column(ForeignKey("staff.user.id"), nullable=False, index=True)

    make_schemas(engine, "staff", "devices")
    base.metadata.create_all(engine)
    assert_binds_once(serve(sessionmaker(engine), User, Machine))
    assert read(engine, "devices.machine") == [(CODE, "1")]


def test_a_tenant_of_the_engine(engine: Engine) -> None:
    """An engine that translates schemas leads to the tables of its tenant, and to no other's."""
    make_schemas(engine, "tenant")
    tenant = engine.execution_options(schema_translate_map={None: "tenant"})
    for each in (engine, tenant):
        make_tables(each)
    assert_binds_once(make_host(sessionmaker(tenant)))
    assert (read(engine, "tenant.machine"), read(engine)) == ([(CODE, "1")], [])


def test_users_in_a_database_of_another_kind(engine: Engine, tmp_path: Path) -> None:
    """Users stay in an SQLite file while their machines are bound in PostgreSQL."""
    base: Any = declarative_base()

    class User(AccountMixin, base):
        __tablename__ = "user"
        id = Column(Integer, primary_key=True)

    class Machine(MachineMixin, base):
        __tablename__ = "machine"
        id = Column(Integer, primary_key=True)
        user_id = Column(Integer, nullable=False, index=True)

    sqlite = create_engine(f"sqlite:///{tmp_path}/users.db")
    User.__table__.create(sqlite)
    Machine.__table__.create(engine)
    assert_binds_once(serve(sessionmaker(binds={User: sqlite, Machine: engine}), User, Machine))
    assert read(engine) == [(CODE, "1")]


def make_schemas(engine: Engine, *names: str) -> None:
    with engine.begin() as connection:
        for name in names:
            connection.exec_driver_sql(f"CREATE SCHEMA {name}")
