"""Tests of the host that roll an outer transaction back, and refusals in a transaction that goes on."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from sqlalchemy import insert, select
from sqlalchemy.engine import Connection
from sqlalchemy.orm import scoped_session, sessionmaker

from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore
from flask_aegis_machines.testing import make_machine
from tests.support.hosts import assert_answer
from tests.support.realistic import CODES, Host

from .app.machines import MACHINES_PER_USER, TooManyMachines, check_and_audit, columns_of_tenant
from .app.models import Machine, Organisation, db


@pytest.fixture
def connection(host: Host, owner: uuid.UUID) -> Iterator[Connection]:
    """A connection in a transaction that is rolled back when the connection is closed after the test."""
    with host.app.app_context():
        engine = db.engine
    with engine.connect() as connection:
        connection.begin()
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")  # its driver begins no transaction for a SAVEPOINT
        yield connection


@pytest.fixture(params=["held open", "one for each request"])
def rolled_back(
    request: pytest.FixtureRequest, host: Host, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Let everything in a test run in that transaction, as SQLAlchemy's documentation shows.

    Many suites hold an app context open around each test, pytest-flask among them: then all requests of a
    test share ``db.session``, and nobody removes it between them.
    """
    monkeypatch.setitem(db.session.session_factory.kw, "join_transaction_mode", "create_savepoint")
    with host.app.app_context():
        monkeypatch.setitem(db.engines, None, connection)
    with host.app.app_context() if request.param == "held open" else nullcontext():
        yield


@pytest.mark.usefixtures("rolled_back")
class TestOuterTransaction:
    """What a test binds is there until the test ends."""

    @pytest.fixture(autouse=True)
    def _nothing_is_left(self, host: Host, connection: Connection) -> Iterator[None]:
        """Read the tables on another connection after the rollback."""
        yield
        connection.close()
        assert host.codes() == []

    def test_a_code_is_bound_once(self, host: Host, owner: uuid.UUID, connection: Connection) -> None:
        """The second answer for a code is a refusal, and the row of the first is there."""
        token = host.token(owner)
        assert [host.register(token).json["code"] for _ in range(3)] == ["10000", "10004", "10004"]
        with host.app.app_context():
            assert db.session.scalars(select(Machine.machine_code)).all() == [CODES[0]]

    def test_the_limit_holds(self, host: Host, owner: uuid.UUID) -> None:
        """A refused machine leaves nothing, and takes nothing of the others away."""
        token = host.token(owner)
        codes = [host.register(token, code).json["code"] for code in CODES[: MACHINES_PER_USER + 2]]
        assert codes == ["10000"] * MACHINES_PER_USER + ["20001"] * 2
        with host.app.app_context():
            found = db.session.scalars(select(Machine.machine_code).order_by(Machine.machine_code)).all()
        assert found == CODES[:MACHINES_PER_USER]

    def test_rows_that_the_test_commits_are_seen(self, host: Host) -> None:
        """A user whom the test itself has made binds a machine."""
        newcomer = host.add_user("ASD000002")
        token = host.token(newcomer)
        assert_answer(
            host.register(token, aegisspeed_id="ASD000002"),
            "10000",
            machine_code=CODES[0],
            user_id="110***********1234",
        )


class TestRefusalInATransactionOfTheHost:
    """A refusing hook leaves nothing of its binding, and all of what the host has written."""

    @pytest.fixture
    def full_owner(self, host: Host, owner: uuid.UUID) -> uuid.UUID:
        """A user who has as many machines as they may have."""
        for code in CODES[:MACHINES_PER_USER]:
            assert host.register(host.token(owner), code).json["code"] == "10000"
        return owner

    def test_in_a_joined_connection(self, host: Host, full_owner: uuid.UUID) -> None:
        """The stores join a transaction in a savepoint, also where it has no statement yet."""
        user = host.find(full_owner)
        with host.app.app_context(), db.engine.connect() as connection, connection.begin():
            sessions = scoped_session(sessionmaker(connection))
            store = SQLAlchemyMachineStore(
                sessions, Machine, within=check_and_audit, values=columns_of_tenant
            )
            with pytest.raises(TooManyMachines):
                store.bind(make_machine(CODES[-1]), user)
            connection.execute(insert(Organisation).values(name="written by the host"))
            with pytest.raises(TooManyMachines):
                store.bind(make_machine(CODES[-1]), user)
        assert host.codes() == CODES[:MACHINES_PER_USER]
        assert "written by the host" in organisations(host)

    def test_in_the_session_of_the_host(self, host: Host, full_owner: uuid.UUID) -> None:
        """With ``transaction="host"`` the pending rows of the session are committed by the host."""
        user = host.find(full_owner)
        store = SQLAlchemyMachineStore(
            db.session, Machine, transaction="host", within=check_and_audit, values=columns_of_tenant
        )
        with host.app.app_context():
            db.session.add(Organisation(name="written by the host"))
            with pytest.raises(TooManyMachines):
                store.bind(make_machine(CODES[-1]), user)
            db.session.commit()
        assert host.codes() == CODES[:MACHINES_PER_USER]
        assert "written by the host" in organisations(host)


def organisations(host: Host) -> list[str]:
    """Return the names of all organisations, as a new session reads them."""
    with host.app.app_context():
        return list(db.session.scalars(select(Organisation.name)))
