"""``bind_many`` on models of a host: many machines in one call."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import event, insert
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from flask_aegis_machines import MachineCodeTaken, StoreFailure, User, UserNotFound
from flask_aegis_machines._errors import Refusal
from flask_aegis_machines._records import MACHINE_FIELDS
from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore, _machine_store
from flask_aegis_machines.testing import make_machine
from tests.support.driver_failures import Fault, LostCommits, lost_connection
from tests.support.engines import POSTGRES, on, stored
from tests.support.hosts import FIRST, SECOND
from tests.support.models import NOW, Machine

CODES = [f"{number:031}x" for number in range(600)]
NOBODY = User(99, "ASD000099", "")


def outcomes_of(refusals: list[Refusal | None]) -> list[str]:
    """Return the outcome of each binding."""
    words = {type(None): "bound", UserNotFound: "no user"}
    return [
        ("mine" if refusal.by_same_user else "taken")
        if isinstance(refusal, MachineCodeTaken)
        else words[type(refusal)]
        for refusal in refusals
    ]


def bind_many(store: SQLAlchemyMachineStore, *wanted: tuple[str, User]) -> list[str]:
    """Bind codes to users."""
    return outcomes_of(store.bind_many([(make_machine(code), user) for code, user in wanted]))


def insert_rival(engine: Engine, code: str) -> None:
    """Commit somebody else's machine."""
    facts = dict.fromkeys(MACHINE_FIELDS[1:], "x")
    row = {**facts, "machine_code": code, "attempt": "rival", "registered_at": NOW, "user_id": SECOND.key}
    with engine.begin() as connection:
        connection.execute(insert(Machine.__table__).values(row))


class TestBindMany:
    """Many machines at once, each by the rules of one."""

    def test_new_machines_take_one_insert(self, store: SQLAlchemyMachineStore, engine: Engine) -> None:
        """Machines of several owners go into the table together, every one with an attempt of its own."""
        statements: list[str] = []
        event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2].split()[0]))
        wanted = [(code, (FIRST, SECOND)[number % 2]) for number, code in enumerate(CODES[:500])]
        assert bind_many(store, *wanted) == ["bound"] * 500
        assert statements.count("INSERT") == 1
        assert sorted(stored(engine)) == [(code, user.key) for code, user in wanted]
        with Session(engine) as session:
            assert len({attempt for (attempt,) in session.query(Machine.attempt)}) == 500

    def test_each_binding_has_its_own_outcome(self, store: SQLAlchemyMachineStore, engine: Engine) -> None:
        """Codes bound before, by either user, and codes that come twice in one call, have one owner each."""
        store.bind(make_machine(CODES[0]), FIRST)
        store.bind(make_machine(CODES[1]), SECOND)
        outcomes = bind_many(
            store,
            (CODES[0], FIRST),
            (CODES[1], FIRST),
            (CODES[2], FIRST),
            (CODES[2], FIRST),
            (CODES[2], SECOND),
            (CODES[3], SECOND),
            (CODES[3], FIRST),
        )
        assert bind_many(store) == []
        assert outcomes == ["mine", "taken", "bound", "mine", "taken", "bound", "taken"]
        owners = [FIRST.key, SECOND.key, FIRST.key, SECOND.key]
        assert sorted(stored(engine)) == list(zip(CODES, owners, strict=False))

    def test_a_rival_in_between_wins(
        self, store: SQLAlchemyMachineStore, engine: Engine, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A code taken after the look is refused, the others of the call are bound, and nothing is logged."""
        rivals = [CODES[1]]

        @event.listens_for(engine, "before_cursor_execute")
        def come_first(connection: object, cursor: object, statement: str, *args: object) -> None:
            if statement.startswith("INSERT") and rivals:
                insert_rival(engine, rivals.pop())

        assert bind_many(store, *((code, FIRST) for code in CODES[:3])) == ["bound", "taken", "bound"]
        assert CODES[1] not in caplog.text
        assert sorted(stored(engine)) == [(CODES[0], 1), (CODES[1], 2), (CODES[2], 1)]

    def test_a_vanished_owner_costs_its_own_machine(
        self, store: SQLAlchemyMachineStore, engine: Engine
    ) -> None:
        """Where a foreign key finds one user gone, the machines of the others are bound."""
        wanted = zip(CODES, (FIRST, NOBODY, SECOND), strict=False)
        assert bind_many(store, *wanted) == ["bound", "no user", "bound"]
        assert sorted(stored(engine)) == [(CODES[0], 1), (CODES[2], 2)]

    def test_a_lost_connection_is_overcome(self, store: SQLAlchemyMachineStore, engine: Engine) -> None:
        """What did not reach the server is sent again."""
        fault = Fault(engine, "INSERT", "before", 1, lost_connection())
        assert bind_many(store, *((code, FIRST) for code in CODES[:3])) == ["bound"] * 3
        assert fault.fired == 1
        assert sorted(stored(engine)) == [(code, 1) for code in CODES[:3]]

    def test_a_lost_reply_is_cleared_up(
        self, store: SQLAlchemyMachineStore, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Rows that were committed without a reply are known for this call's own."""
        lost = LostCommits(engine, monkeypatch)
        assert bind_many(store, *((code, FIRST) for code in CODES[:3])) == ["bound"] * 3
        assert lost.fired == 1
        assert sorted(stored(engine)) == [(code, 1) for code in CODES[:3]]

    def test_calls_at_once_give_each_code_one_owner(
        self, sessions: sessionmaker[Session], engine: Engine
    ) -> None:
        """Two imports of one file, for two owners in opposite orders, share the codes between them."""
        store = SQLAlchemyMachineStore(sessions, Machine)  # with time to get over a deadlock
        start = Barrier(2, timeout=60)

        def run(user: User, codes: list[str]) -> dict[str, str]:
            start.wait()
            return dict(zip(codes, bind_many(store, *((code, user) for code in codes)), strict=True))

        with ThreadPoolExecutor(2) as threads:
            first = threads.submit(run, FIRST, CODES[:50])
            second = threads.submit(run, SECOND, CODES[49::-1])
        bound = [(code, 1 if word == "bound" else 2) for code, word in first.result().items()]
        assert sorted(stored(engine)) == bound
        pairs = [{first.result()[code], second.result()[code]} for code in CODES[:50]]
        assert pairs == [{"bound", "taken"}] * 50


@on("sqlite", "mariadb-pymysql")
class TestValues:
    """What is kept and compared, alike for one machine and for many."""

    def test_a_machine_is_kept_as_it_came(self, store: SQLAlchemyMachineStore) -> None:
        """Every fact is stored, and the timestamp of the binding."""
        machine = replace(make_machine(), machine_os_name="Ünïcode 系统 \U0001f600", machine_cpu="c" * 255)
        before = datetime.now(timezone.utc)
        assert store.bind_many([(machine, FIRST)]) == [None]
        after = datetime.now(timezone.utc)
        (kept,) = store.list_for(FIRST)
        assert replace(kept, registered_at=None) == machine
        assert kept.registered_at is not None
        assert before <= kept.registered_at <= after

    def test_codes_are_compared_exactly(self, store: SQLAlchemyMachineStore) -> None:
        """A code that differs only in case is another one, in the table and in one call."""
        store.bind(make_machine(CODES[0]), FIRST)
        wanted = [(CODES[0].upper(), SECOND), (CODES[1], FIRST), (CODES[1].upper(), SECOND)]
        assert bind_many(store, *wanted) == ["bound"] * 3


@on("sqlite")
def test_a_repeated_call_skips_rows_of_a_failed_one(
    sessions: sessionmaker[Session], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that dies on the COMMIT may have the rows; the failure has none of their values."""
    store = SQLAlchemyMachineStore(sessions, Machine, deadline=0.5)
    died = LostCommits(engine, monkeypatch, then_outage=True)
    with pytest.raises(StoreFailure, match=r"gave up at try \d+, outcome unknown") as failure:
        bind_many(store, *((code, FIRST) for code in CODES[:3]))
    assert "secret" not in str(failure.value)
    assert (failure.value.__cause__, failure.value.__context__) == (None, None)
    died.then_outage = False
    assert bind_many(store, *((code, FIRST) for code in CODES[:4])) == ["mine"] * 3 + ["bound"]


@on("sqlite")
def test_many_join_a_transaction_of_the_host(engine: Engine, sessions: sessionmaker[Session]) -> None:
    """They are bound when the host commits, and a refused one takes nothing else back."""
    session = scoped_session(sessions)
    store = SQLAlchemyMachineStore(session, Machine, transaction="host")
    wanted = [(CODES[0], FIRST), (CODES[0], SECOND), (CODES[1], FIRST)]
    assert bind_many(store, *wanted) == ["bound", "taken", "bound"]
    assert stored(engine) == []
    session.commit()
    assert stored(engine) == [(CODES[0], 1), (CODES[1], 1)]
    session.remove()


@on("sqlite", POSTGRES)
def test_many_more_than_a_statement_holds_are_bound(
    engine: Engine, store: SQLAlchemyMachineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers limit the values of a statement."""
    monkeypatch.setattr(_machine_store, "_MOST_AT_ONCE", 2)
    wanted = [(code, FIRST) for code in CODES[:5]]
    assert bind_many(store, *wanted, (CODES[0], SECOND)) == ["bound"] * 5 + ["taken"]
    assert len(stored(engine)) == 5


def test_a_suite_that_rolls_back_takes_everything_back(engine: Engine) -> None:
    """On a connection of the host's the machines join its transaction, refusals and all."""
    with engine.connect() as connection:
        transaction = connection.begin()
        store = SQLAlchemyMachineStore(lambda: Session(connection), Machine)
        wanted = [(CODES[0], FIRST), (CODES[0], SECOND), (CODES[1], FIRST)]
        assert bind_many(store, *wanted) == ["bound", "taken", "bound"]
        transaction.rollback()
    assert stored(engine) == []


@on("postgresql-psycopg")
def test_an_import_into_an_empty_table_keeps_no_plan(engine: Engine, store: SQLAlchemyMachineStore) -> None:
    """A prepared SELECT would read the whole table for each batch, since it was planned for an empty one."""
    for start in range(0, 100, 10):
        bind_many(store, *((code, FIRST) for code in CODES[start : start + 10]))
    with engine.connect() as connection:
        prepared = connection.exec_driver_sql("SELECT statement FROM pg_prepared_statements").scalars().all()
        driver_connection: Any = connection.connection.dbapi_connection
        assert not [statement for statement in prepared if " IN (" in statement]
        assert [statement for statement in prepared if statement.startswith("INSERT")]
        assert driver_connection.prepare_threshold == 5
