"""Hosts on plain SQLAlchemy: their sessions, their pools, and their tests that roll everything back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import NullPool, QueuePool, StaticPool
from sqlalchemy.sql import Delete, Insert, Update

from tests.support.database_hosts import (
    CODE,
    assert_binds_once,
    make_host,
    make_tables,
    read,
    register_at_once,
)
from tests.support.hosts import FIRST
from tests.support.models import Account, Machine

IN_THREADS = {"check_same_thread": False}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An SQLite file with the host's tables and its first user."""
    path = tmp_path / "host.db"
    make_tables(create_engine(f"sqlite:///{path}"))
    return path


@pytest.fixture
def engine(path: Path) -> Engine:
    """The host's own engine on it."""
    return create_engine(f"sqlite:///{path}")


class TestSessions:
    """What a host may pass as ``session``."""

    @pytest.mark.parametrize(
        "make_session",
        [sessionmaker, lambda engine: scoped_session(sessionmaker(engine))],
        ids=["sessionmaker", "scoped_session"],
    )
    def test_a_factory(self, make_session: Callable[[Engine], Any], engine: Engine, path: Path) -> None:
        """A ``sessionmaker`` and a ``scoped_session`` lead to the engine that they were made with."""
        assert_binds_once(make_host(make_session(engine)))
        assert read(path) == [(CODE, 1)]

    def test_the_one_session_of_a_process(self, engine: Engine, path: Path) -> None:
        """Eight at once are all bound, and what the host has in its session stays as it was."""
        session = Session(engine)
        account = session.get(Account, 1)
        session.add(Account(id=2, aegisspeed_id="ASD000002", id_number="2"))
        account.id_number = "changed"
        begun = session.get_transaction()
        assert register_at_once(make_host(lambda: session)) == ["10000"] * 8
        assert sorted(read(path)) == [(f"{number:032}", 1) for number in range(1, 9)]
        assert ([row.id for row in session.new], list(session.dirty)) == ([2], [account])
        assert session.get_transaction() is begun
        assert read(path, "SELECT id, id_number FROM account") == [(1, FIRST.id_number)]
        session.commit()
        assert read(path, "SELECT id, id_number FROM account") == [(1, "changed"), (2, "2")]

    @pytest.mark.parametrize("key", [Machine, Machine.__table__], ids=["model", "table"])
    def test_binds(self, key: Any, engine: Engine, path: Path, tmp_path: Path) -> None:
        """Machines go to the engine that ``binds`` names for their model or their table."""
        other = create_engine(f"sqlite:///{tmp_path}/other.db")
        Machine.__table__.create(other)
        assert_binds_once(make_host(sessionmaker(engine, binds={key: other})))
        assert (read(tmp_path / "other.db"), read(path)) == ([(CODE, 1)], [])

    @pytest.mark.parametrize(
        "writes", [(Insert, Update, Delete), (Update, Delete)], ids=["all", "documented"]
    )
    def test_a_router_by_statement(self, writes: Any, engine: Engine, path: Path, tmp_path: Path) -> None:
        """A session that sends writes to a leader and reads to a replica binds in the leader."""
        replica = create_engine(f"sqlite:///{tmp_path}/replica.db")
        make_tables(replica)

        class Routing(Session):
            def get_bind(self, mapper: Any = None, clause: Any = None, **arguments: Any) -> Engine:
                return engine if isinstance(clause, writes) else replica

        assert_binds_once(make_host(sessionmaker(class_=Routing)))
        assert (read(path), read(tmp_path / "replica.db")) == ([(CODE, 1)], [])

    def test_a_router_by_model(self, engine: Engine, path: Path, tmp_path: Path) -> None:
        """A session that chooses the engine by the model gets the model."""
        other = create_engine(f"sqlite:///{tmp_path}/other.db")
        Machine.__table__.create(other)

        class Routing(Session):
            def get_bind(self, mapper: Any = None, clause: Any = None, **arguments: Any) -> Engine:
                return {Account: engine, Machine: other}[mapper.class_]

        assert_binds_once(make_host(sessionmaker(class_=Routing)))
        assert (read(tmp_path / "other.db"), read(path)) == ([(CODE, 1)], [])


class TestPools:
    """Pools of every kind."""

    @pytest.mark.parametrize(
        "options",
        [{"poolclass": NullPool}, {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0}],
        ids=["no pool", "one connection"],
    )
    def test_eight_at_once(self, options: dict[str, Any], path: Path) -> None:
        """Eight at once are served without a pool, and by a pool of one connection without standing still."""
        engine = create_engine(f"sqlite:///{path}", connect_args=IN_THREADS, **options)
        assert register_at_once(make_host(sessionmaker(engine))) == ["10000"] * 8
        assert sorted(read(path)) == [(f"{number:032}", 1) for number in range(1, 9)]

    def test_a_database_in_memory(self) -> None:
        """The one connection of a database in memory comes back from us as it was."""
        engine = create_engine("sqlite://", connect_args=IN_THREADS, poolclass=StaticPool)
        make_tables(engine)
        assert_binds_once(make_host(sessionmaker(engine)))
        with Session(engine) as session:
            session.add(Account(id=2, aegisspeed_id="ASD000002", id_number="2"))
            session.flush()
            session.rollback()
            assert session.execute(select(Account.id)).scalars().all() == [1]
            assert session.execute(select(Machine.machine_code, Machine.user_id)).all() == [(CODE, 1)]


def test_a_connection_that_nobody_has_begun(engine: Engine, path: Path) -> None:
    """Where a host binds its session to a connection outside of any transaction, a 200 is committed."""
    with engine.connect() as connection:
        assert_binds_once(make_host(lambda: Session(bind=connection)))
        assert not connection.in_transaction()
    assert read(path) == [(CODE, 1)]


def test_a_suite_that_rolls_everything_back(engine: Engine, path: Path) -> None:
    """Where a host's tests bind its session to a connection, they see the machine, and nothing is left."""
    sessions = scoped_session(sessionmaker(engine))
    app = make_host(sessions)
    with engine.connect() as connection:
        outer = connection.begin()
        sessions.configure(bind=connection)
        assert_binds_once(app)
        assert sessions.execute(select(Machine.machine_code, Machine.user_id)).all() == [(CODE, 1)]
        sessions.remove()
        outer.rollback()
    assert read(path) == []
