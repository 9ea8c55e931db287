"""``ending_session``: no transaction of authentication stays open over the work of the stores."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_jwt_extended import JWTManager, create_access_token
from sqlalchemy import Column, Integer, String, create_engine, text, update
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session, declarative_base, scoped_session, sessionmaker
from sqlalchemy.pool import QueuePool

from flask_aegis_machines import (
    ConfigurationError,
    Unauthorized,
    create_blueprint,
    ending_session,
    identity,
    jwt_identity,
)
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore
from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore, SQLAlchemyUserStore

from .support import models
from .support.hosts import FIRST, REGISTER_PATH, assert_answer, example

Base: Any = declarative_base()


class Row(Base):
    """A row of the host."""

    __tablename__ = "row"
    id = Column(Integer, primary_key=True)
    name = Column(String(20))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A database with one row."""
    engine = create_engine(f"sqlite:///{tmp_path / 'host.db'}", poolclass=QueuePool)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Row(id=1, name="first"))
        session.commit()
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Any]:
    """The session of the host."""
    session = scoped_session(sessionmaker(engine))
    yield session
    session.remove()


def out(engine: Engine) -> int:
    """Return how many connections of the pool are out."""
    count: int = engine.pool.checkedout()  # type: ignore[attr-defined]
    return count


def test_a_look_up_leaves_no_transaction_open(engine: Engine, session: Any) -> None:
    """The identity is returned, and the connection is back in the pool."""

    def authenticate() -> object:
        assert session.get(Row, 1) is not None
        assert out(engine) == 1
        return 7

    assert ending_session(authenticate, session)() == 7
    assert out(engine) == 0


def test_what_was_begun_before_is_ended_too(engine: Engine, session: Any) -> None:
    """Flask-Login's loader may have run in a hook of the host."""
    session.get(Row, 1)
    assert ending_session(lambda: 7, session)() == 7
    assert out(engine) == 0


def test_a_refusal_ends_the_session(engine: Engine, session: Any) -> None:
    """What authentication raises is passed on, with no transaction open."""

    def authenticate() -> object:
        session.get(Row, 1)
        raise Unauthorized

    with pytest.raises(Unauthorized):
        ending_session(authenticate, session)()
    assert out(engine) == 0


@pytest.mark.parametrize("rollback_fails", [True, False])
@pytest.mark.parametrize("invalidate_fails", [True, False])
def test_a_dead_connection_changes_no_identity(
    engine: Engine,
    session: Any,
    monkeypatch: pytest.MonkeyPatch,
    rollback_fails: bool,
    invalidate_fails: bool,
) -> None:
    """A session that cannot be rolled back is given up; the caller is known all the same."""

    def fail(*args: object) -> None:
        raise LookupError("the connection is dead")

    def authenticate() -> object:
        session.get(Row, 1)
        return 7

    ended = ending_session(authenticate, session)
    if rollback_fails:
        monkeypatch.setattr(session(), "rollback", fail)
    if invalidate_fails:
        monkeypatch.setattr(session(), "invalidate", fail)
    assert ended() == 7
    assert (out(engine) == 0) == (not (rollback_fails and invalidate_fails))


def add(session: Any) -> None:
    session.add(Row(id=2))


def change(session: Any) -> None:
    session.get(Row, 1).name = "changed"


def delete(session: Any) -> None:
    session.delete(session.get(Row, 1))


def add_and_flush(session: Any) -> None:
    session.add(Row(id=2))
    session.flush()


@pytest.mark.parametrize("write", [add, change, delete, add_and_flush])
def test_rows_that_authentication_leaves_fail_loudly(session: Any, write: Callable[[Any], None]) -> None:
    """A host that expects them to be committed later is not left to find out that they never are."""
    with pytest.raises(ConfigurationError, match="rows that are not committed"):
        ending_session(lambda: write(session), session)()


@pytest.mark.parametrize("write", [add, change, delete])
def test_rows_that_were_there_before_fail_loudly(session: Any, write: Callable[[Any], None]) -> None:
    """They stay pending: authentication is not even called."""
    write(session)
    with pytest.raises(ConfigurationError, match="rows that are not committed"):
        ending_session(pytest.fail, session)()
    assert session.new or session.dirty or session.deleted


def test_rows_that_authentication_commits_are_kept(engine: Engine, session: Any) -> None:
    """A host may note when a user was last seen."""

    def authenticate() -> object:
        add_and_flush(session)
        session.commit()
        return 7

    assert ending_session(authenticate, session)() == 7
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM row")).scalar() == 2


def test_no_listener_stays_behind(session: Any) -> None:
    """A session that serves a thousand requests has none of ours."""
    ended = ending_session(lambda: 7, session)
    for _ in range(3):
        ended()
    dispatch = session().dispatch
    assert [len(dispatch.after_flush), len(dispatch.after_commit)] == [0, 0]


def test_a_session_may_come_from_a_lambda(engine: Engine, session: Any) -> None:
    """A lambda may return the session itself, or a scoped_session."""
    for given in (lambda: session, lambda: session()):
        session.get(Row, 1)
        assert ending_session(lambda: 7, given)() == 7
        assert out(engine) == 0


def test_a_sessionmaker_is_refused(engine: Engine) -> None:
    """It would end a session that nobody uses."""
    with pytest.raises(ConfigurationError, match="a sessionmaker makes a new one"):
        ending_session(lambda: 7, sessionmaker(engine))()


def test_an_async_function_is_refused(session: Any) -> None:
    """Nobody would await it."""

    async def authenticate() -> None:
        """Identify nobody."""

    with pytest.raises(ConfigurationError, match="authenticate must be a sync function"):
        ending_session(authenticate, session)


def test_a_session_that_is_no_callable_is_refused(engine: Engine) -> None:
    """A session of the set-up would serve every thread."""
    with sessionmaker(engine)() as one, pytest.raises(ConfigurationError, match="session must be a callable"):
        ending_session(lambda: 1, one)


def test_a_store_in_the_host_s_transaction_is_refused(session: Any) -> None:
    """The rollback would undo what the host's transaction holds, our row included."""

    class Joins(MemoryMachineStore):
        joins_host_transaction = True

    users = MemoryUserStore([FIRST])
    with pytest.raises(ConfigurationError, match=r"ending_session\(\) rolls back the transaction"):
        create_blueprint(users=users, machines=Joins(), authenticate=ending_session(lambda: 1, session))
    create_blueprint(users=users, machines=Joins(), authenticate=lambda: 1)


def test_doctor_sees_through_it(session: Any) -> None:
    """The checks of a ready ``authenticate`` are made for the wrapped one."""
    wrapped = ending_session(jwt_identity, session)
    assert inspect.unwrap(wrapped) is jwt_identity
    app = Flask("host")
    assert identity.problems(wrapped, app) == identity.problems(jwt_identity, app) != []


@pytest.mark.parametrize(("ended", "code"), [(True, "10000"), (False, "10005")])
def test_a_small_pool_does_not_lock_up(tmp_path: Path, ended: bool, code: str) -> None:
    """An open transaction of authentication holds the only connection, for which the store waits in vain."""
    engine = create_engine(
        f"sqlite:///{tmp_path / 'small.db'}",
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=0.2,
    )
    models.Base.metadata.create_all(engine)
    session: Any = scoped_session(sessionmaker(engine))
    session.add(models.Account(id=1, aegisspeed_id=FIRST.aegisspeed_id, id_number=FIRST.id_number))
    session.commit()

    def authenticate() -> object:
        return session.get(models.Account, 1).id

    users = SQLAlchemyUserStore(
        sessionmaker(engine),
        models.Account,
        identity="id",
        aegisspeed_id="aegisspeed_id",
        id_number="id_number",
        deadline=0.2,
    )
    machines = SQLAlchemyMachineStore(sessionmaker(engine), models.Machine, deadline=0.2)
    app = Flask("host")
    given = ending_session(authenticate, session) if ended else authenticate
    app.register_blueprint(create_blueprint(users=users, machines=machines, authenticate=given))
    assert app.test_client().post(REGISTER_PATH, json=example()).get_json()["code"] == code
    session.remove()
    engine.dispose()


def test_rows_in_a_savepoint_fail_loudly(engine: Engine, session: Any) -> None:
    """The release of a savepoint makes no row durable, so the rollback would undo it."""

    def write() -> int:
        with session.begin_nested():
            session.add(Row(id=2, name="second"))
        return 1

    with pytest.raises(ConfigurationError, match="The session has rows that are not committed"):
        ending_session(write, session)()
    assert out(engine) == 0


def test_statements_that_write_fail_loudly(engine: Engine, session: Any) -> None:
    """An UPDATE flushes nothing, and is undone all the same."""

    def note_visit() -> int:
        session.execute(update(Row).values(name="seen"))
        return 1

    with pytest.raises(ConfigurationError, match="The session has rows that are not committed"):
        ending_session(note_visit, session)()
    assert out(engine) == 0


def test_a_mounted_app_is_served(engine: Engine, session: Any) -> None:
    """A blocklist in the database is asked, and the store works without its connection."""

    class Watching(MemoryMachineStore):
        def bind(self, machine: Any, user: Any) -> None:
            assert out(engine) == 0
            super().bind(machine, user)

    app = Flask("host")
    app.config["JWT_SECRET_KEY"] = "a secret of the tests, of more than 32 bytes"
    JWTManager(app).token_in_blocklist_loader(lambda header, claims: session.get(Row, 9) is not None)
    authenticate = ending_session(jwt_identity, session)
    stores = {"users": MemoryUserStore([FIRST]), "machines": Watching()}
    app.register_blueprint(create_blueprint(**stores, authenticate=authenticate))
    with app.app_context():
        headers = {"Authorization": f"Bearer {create_access_token('1')}"}
    data = {"machine_code": example()["machine_code"], "user_id": "110***********1234"}
    assert_answer(app.test_client().post(REGISTER_PATH, json=example(), headers=headers), "10000", **data)
