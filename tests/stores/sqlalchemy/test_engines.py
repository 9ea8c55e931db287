"""Which engines the stores use: none that shares a connection, and no connection of another process."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any
from weakref import ref

import pytest
from flask import Flask, current_app
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import NullPool, QueuePool, SingletonThreadPool, StaticPool

from flask_aegis_machines import ConfigurationError, bearer, create_blueprint
from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore, SQLAlchemyUserStore, _engines
from flask_aegis_machines.testing import make_machine
from tests.support.engines import on, stored
from tests.support.hosts import FIRST, SECOND, USER_COLUMNS
from tests.support.models import Account, Base, Machine


@pytest.mark.parametrize("pool", [StaticPool, SingletonThreadPool])
def test_a_shared_connection_is_refused_at_mount(tmp_path: Path, pool: Any) -> None:
    """A COMMIT of the stores would commit rows of the host."""
    engine = create_engine(f"sqlite:///{tmp_path / 'host.db'}", poolclass=pool)
    users = SQLAlchemyUserStore(sessionmaker(engine), Account, **USER_COLUMNS)
    machines = SQLAlchemyMachineStore(sessionmaker(engine), Machine)
    blueprint = create_blueprint(users=users, machines=machines, authenticate=bearer(lambda token: token))
    with pytest.raises(ConfigurationError, match=f"The engine's {pool.__name__} shares one connection"):
        Flask(__name__).register_blueprint(blueprint)
    with pytest.raises(ConfigurationError, match="create the engine with poolclass=QueuePool"):
        machines.bind(make_machine(), FIRST)
    engine.dispose()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"])
def test_sqlite_in_memory_may_share_its_connection(url: str) -> None:
    """Another connection would not have its tables."""
    engine = create_engine(url, poolclass=StaticPool)
    Base.metadata.create_all(engine)
    store = SQLAlchemyMachineStore(sessionmaker(engine), Machine)
    store.check_mount(Flask(__name__))
    store.bind(make_machine(), FIRST)
    assert stored(engine) == [(make_machine().machine_code, FIRST.key)]
    engine.dispose()


def test_a_session_not_ready_at_mount_is_checked_later() -> None:
    """An extension may be initialized after the blueprint, or need a request."""

    def no_session() -> Session:
        raise RuntimeError("Working outside of application context")

    SQLAlchemyMachineStore(no_session, Machine).check_mount(Flask(__name__))
    with Session() as unbound, pytest.raises(Exception, match="bind"):
        SQLAlchemyMachineStore(lambda: unbound, Machine).bind(make_machine(), FIRST)


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the stores take this process for a child of the one that made them, as after a fork."""
    real = os.getpid()
    monkeypatch.setattr(_engines.os, "getpid", lambda: real + 1)
    monkeypatch.setattr(
        _engines, "_processes", {real: _engines._processes.get(real, _engines._UsedEngines())}
    )
    monkeypatch.setattr(_engines, "_inherited_pools", [])


@on("sqlite")
def test_two_threads_prepare_an_engine_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that waited for the lock finds the engine prepared."""
    process = _engines._processes.setdefault(os.getpid(), _engines._UsedEngines())

    class OtherThreadFirst:
        def __enter__(self) -> None:
            process.pools[engine.dialect] = ref(engine.pool)

        def __exit__(self, *of_exception: object) -> None:
            """Release nothing."""

    monkeypatch.setattr(process, "lock", OtherThreadFirst())
    pool = engine.pool
    _engines.prepare_engine(engine, os.getpid() + 1)
    assert engine.pool is pool


def test_an_engine_that_nobody_uses_is_not_kept(tmp_path: Path) -> None:
    """A host may make an engine for each tenant, and let go of it."""
    engine = create_engine(f"sqlite:///{tmp_path}/tenant.db", poolclass=QueuePool)
    _engines.prepare_engine(engine, os.getpid())
    pool = ref(engine.pool)
    del engine
    gc.collect()
    assert pool() is None


@on("sqlite")
class TestAfterAFork:
    """The pool that a child inherits belongs to its parent."""

    def make(self, engine: Engine) -> tuple[SQLAlchemyUserStore, SQLAlchemyMachineStore]:
        """Make both stores in the parent."""
        users = SQLAlchemyUserStore(sessionmaker(engine), Account, **USER_COLUMNS)
        return users, SQLAlchemyMachineStore(sessionmaker(engine), Machine)

    def test_the_inherited_pool_is_dropped_once(self, engine: Engine, request: pytest.FixtureRequest) -> None:
        """Both stores share the new pool, and no connection of the parent is closed or used."""
        users, machines = self.make(engine)
        inherited = engine.pool
        closed: list[object] = []
        event.listen(inherited, "close", lambda *args: closed.append(args))
        request.getfixturevalue("child")
        with users.request_scope(), machines.request_scope():
            replaced = engine.pool
            assert replaced is not inherited
            assert users.get("1") == FIRST
            machines.bind(make_machine(), FIRST)
        assert engine.pool is replaced
        assert (closed, _engines._inherited_pools) == ([], [inherited])
        inherited.dispose()

    def test_a_pool_that_the_host_has_replaced_stays(
        self, engine: Engine, request: pytest.FixtureRequest
    ) -> None:
        """The host disposed of it after the fork, as the documentation of SQLAlchemy says."""
        _, machines = self.make(engine)
        machines.bind(make_machine(), FIRST)
        request.getfixturevalue("child")
        engine.dispose()
        replaced = engine.pool
        machines.list_for(FIRST)
        assert engine.pool is replaced

    def test_an_engine_with_options_shares_the_pool(
        self, engine: Engine, request: pytest.FixtureRequest
    ) -> None:
        """A host may give each request another Engine on one pool: it is dropped once all the same."""
        machines = SQLAlchemyMachineStore(lambda: Session(engine.execution_options(tenant="x")), Machine)
        request.getfixturevalue("child")
        machines.list_for(FIRST)
        replaced = engine.pool
        machines.list_for(FIRST)
        assert engine.pool is replaced
        _engines._inherited_pools[0].dispose()

    def test_a_transaction_of_the_host_gets_a_new_pool_too(
        self, engine: Engine, request: pytest.FixtureRequest
    ) -> None:
        """The session of the host must not use a connection of the parent either."""
        sessions = scoped_session(sessionmaker(engine))
        machines = SQLAlchemyMachineStore(sessions, Machine, transaction="host")
        inherited = engine.pool
        request.getfixturevalue("child")
        with machines.request_scope():
            assert engine.pool is not inherited
            assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        sessions.remove()
        inherited.dispose()

    def test_the_parent_keeps_its_pool(self, engine: Engine) -> None:
        """Without a fork nothing is dropped."""
        _, machines = self.make(engine)
        pool = engine.pool
        machines.bind(make_machine(), SECOND)
        assert engine.pool is pool


def test_sqlite_in_memory_keeps_its_tables_after_a_fork(request: pytest.FixtureRequest) -> None:
    """A new connection would lose them; the memory of the child is a copy."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    store = SQLAlchemyMachineStore(sessionmaker(engine), Machine)
    request.getfixturevalue("child")
    with store.request_scope():
        assert store.list_for(FIRST) == []
    engine.dispose()


def test_a_request_scope_opens_without_a_session(request: pytest.FixtureRequest) -> None:
    """The call that needs the session raises the host's exception, and the scope closes."""

    def no_session() -> Session:
        raise RuntimeError("no session")

    store = SQLAlchemyMachineStore(no_session, Machine)
    request.getfixturevalue("child")
    with store.request_scope(), pytest.raises(RuntimeError, match="no session"):
        store.list_for(FIRST)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("sqlite:////data/host.db", "the file /data/host.db"),
        ("postgresql+psycopg2://app:secret@db:5433/host", "database host at db:5433 as app"),
        ("postgresql+psycopg2://app@/host?host=a:1&host=b:2", "database host at a:1, b:2 as app"),
        ("mysql+pymysql://app@/host", "database host at the default host as app"),
    ],
)
def test_an_address_has_no_password(url: str, address: str) -> None:
    """Host, port, database and role show an operator where to look."""
    engine = create_engine(url, poolclass=NullPool if url.startswith("sqlite") else QueuePool)
    assert _engines.address_of(engine) == address


@on("sqlite")
def test_an_async_engine_is_refused(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each statement would fail at the first request."""
    monkeypatch.setattr(engine.dialect, "is_async", True)
    store = SQLAlchemyMachineStore(sessionmaker(engine), Machine)
    with pytest.raises(ConfigurationError, match="The engine is async"):
        store.check_mount(Flask("host"))


@on("sqlite")
def test_a_mount_ends_no_session_of_the_host(engine: Engine) -> None:
    """An app context that is pushed and popped would run what the host does at the end of a request."""
    app, ended = Flask("host"), []
    app.teardown_appcontext(ended.append)
    SQLAlchemyMachineStore(sessionmaker(engine), Machine).check_mount(app)
    SQLAlchemyUserStore(sessionmaker(engine), Account, **USER_COLUMNS).check_mount(app)
    assert ended == []


@on("sqlite")
def test_a_mount_inside_of_another_app_asks_its_own(engine: Engine, tmp_path: Path) -> None:
    """The context that is pushed may be that of another app, with another engine."""
    shared = create_engine(f"sqlite:///{tmp_path / 'shared.db'}", poolclass=StaticPool)
    good, bad = Flask("good"), Flask("bad")
    good.extensions["engine"], bad.extensions["engine"] = engine, shared
    store = SQLAlchemyMachineStore(lambda: Session(current_app.extensions["engine"]), Machine)
    with bad.app_context():
        store.check_mount(good)
    with good.app_context(), pytest.raises(ConfigurationError, match="StaticPool shares one connection"):
        store.check_mount(bad)
    with bad.app_context(), pytest.raises(ConfigurationError, match="StaticPool shares one connection"):
        store.check_mount(bad)


@on("sqlite")
def test_what_a_host_does_at_the_end_of_a_context_may_fail(engine: Engine) -> None:
    """It closes what only a request has opened."""
    app = Flask("host")
    app.extensions["engine"] = engine

    @app.teardown_appcontext
    def close(error: BaseException | None) -> None:
        raise AttributeError

    SQLAlchemyMachineStore(lambda: Session(current_app.extensions["engine"]), Machine).check_mount(app)
