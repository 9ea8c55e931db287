"""The machine store on a host's own model."""

from __future__ import annotations

import inspect
import re
import traceback
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest
from sqlalchemy import (
    Column,
    DateTime,
    Integer,
    TypeDecorator,
    create_engine,
    event,
    exc,
    insert,
    select,
)
from sqlalchemy.engine import Dialect, Engine
from sqlalchemy.orm import Session, declarative_base, sessionmaker
from sqlalchemy.pool import QueuePool

from flask_aegis_machines import MachineCodeTaken, StoreFailure, User, UserNotFound
from flask_aegis_machines._records import MACHINE_FIELDS
from flask_aegis_machines.stores.sqlalchemy import (
    MachineMixin,
    SQLAlchemyMachineStore,
    SQLAlchemyUserStore,
)
from flask_aegis_machines.testing import MachineStoreContract, make_machine
from tests.support.driver_failures import Fault, LostCommits, busy, lost_connection, wrap
from tests.support.engines import ENGINES, on, stored
from tests.support.hosts import FIRST, SECOND
from tests.support.models import OTHER, Account, Machine

CODE = make_machine().machine_code


@on(*ENGINES)
class TestSQLAlchemyMachineStore(MachineStoreContract):
    """Machines in a table."""

    @pytest.fixture
    def store(self, sessions: sessionmaker[Session]) -> SQLAlchemyMachineStore:
        return SQLAlchemyMachineStore(sessions, Machine, deadline=60)

    @pytest.fixture
    def reopened(self, engine: Engine) -> SQLAlchemyMachineStore:
        """A store on new connections, which sees what was committed and nothing else."""
        engine.dispose()
        return SQLAlchemyMachineStore(sessionmaker(engine), Machine, deadline=60)

    @pytest.fixture
    def owners(self) -> tuple[User, User]:
        return FIRST, SECOND


@pytest.fixture
def statements(engine: Engine) -> list[str]:
    """The kinds of statements that reach the database."""
    seen: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: seen.append(args[2].split()[0]))
    return seen


class TestStatements:
    """What reaches the database."""

    def test_binding_is_one_insert(
        self, store: SQLAlchemyMachineStore, engine: Engine, statements: list[str]
    ) -> None:
        """The first asks the catalogue; SQLite, which needs no round trip for it, reads each row back."""
        store.bind(make_machine(OTHER), FIRST)
        statements.clear()
        store.bind(make_machine(), FIRST)
        assert statements == ["INSERT", "SELECT"][: 2 if engine.dialect.name == "sqlite" else 1]

    def test_a_refusal_reads_the_row_in_the_way(
        self, store: SQLAlchemyMachineStore, statements: list[str]
    ) -> None:
        """A violated key is one INSERT and one SELECT."""
        store.bind(make_machine(), FIRST)
        statements.clear()
        with pytest.raises(MachineCodeTaken):
            store.bind(make_machine(), SECOND)
        assert statements == ["INSERT", "SELECT"]

    def test_a_page_is_one_select_and_another_for_its_mark(
        self, store: SQLAlchemyMachineStore, statements: list[str]
    ) -> None:
        """The first page is read at once; a later one looks up where it begins."""
        store.bind(make_machine(), FIRST)
        statements.clear()
        store.list_for(FIRST)
        assert statements == ["SELECT"]
        store.list_for(FIRST, after=CODE)
        assert statements == ["SELECT"] * 3

    def test_nothing_stays_set_on_the_host_s_connections(self, engine: Engine) -> None:
        """A ROLLBACK of the host undoes all of its rows."""
        small = create_engine(engine.url, poolclass=QueuePool, pool_size=1, max_overflow=0)
        SQLAlchemyMachineStore(sessionmaker(small), Machine).bind(make_machine(), FIRST)
        with small.connect() as connection:
            transaction = connection.begin()
            connection.execute(insert(Account).values(id=3, aegisspeed_id="ASD000003", id_number="3"))
            transaction.rollback()
            assert connection.execute(select(Account.id).order_by(Account.id)).scalars().all() == [1, 2]
        small.dispose()

    def test_every_attempt_is_its_own(self, store: SQLAlchemyMachineStore, engine: Engine) -> None:
        """Two requests never share the value that identifies an attempt."""
        for code in (CODE, OTHER):
            store.bind(make_machine(code), FIRST)
        with Session(engine) as session:
            attempts = session.execute(select(Machine.attempt)).scalars().all()
        assert len(set(attempts)) == 2
        assert all(re.fullmatch("[0-9a-f]{32}", attempt) for attempt in attempts)


class TestUnknownOutcome:
    """A reply that is lost, before or after the database did its work."""

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_an_insert_with_a_lost_reply_succeeds(
        self, store: SQLAlchemyMachineStore, engine: Engine, when: str
    ) -> None:
        """The same INSERT is repeated; a row of this very attempt is this request's own."""
        fault = Fault(engine, "INSERT", when, 1, lost_connection())
        store.bind(make_machine(), FIRST)
        assert fault.fired == 1
        assert stored(engine) == [(CODE, FIRST.key)]

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_lost_reply_to_the_read_is_cleared_up(
        self, store: SQLAlchemyMachineStore, engine: Engine, when: str
    ) -> None:
        """Losing the connection while the conflict is looked at changes no verdict."""
        store.bind(make_machine(), FIRST)
        fault = Fault(engine, "SELECT", when, 1, lost_connection())
        with pytest.raises(MachineCodeTaken):
            store.bind(make_machine(), SECOND)
        assert fault.fired == 1

    def test_contention_beyond_the_deadline_is_not_looked_into(
        self, sessions: sessionmaker[Session], engine: Engine
    ) -> None:
        """Nothing was committed, so a long wait is not made longer."""
        fault = Fault(engine, "INSERT", "before", 2, busy())
        with pytest.raises(StoreFailure, match=r"gave up at try 1: .*database is locked"):
            SQLAlchemyMachineStore(sessions, Machine, deadline=0).bind(make_machine(), FIRST)
        assert fault.fired == 1

    def test_a_refusal_does_not_lead_to_the_driver_s_error(self, store: SQLAlchemyMachineStore) -> None:
        """A host that logs a refusal logs no values of the statement that failed before it."""
        store.bind(make_machine(), FIRST)
        with pytest.raises(MachineCodeTaken) as taken:
            store.bind(make_machine(), SECOND)
        assert (taken.value.__cause__, taken.value.__context__) == (None, None)

    def test_a_lost_reply_does_not_hide_a_rival(self, store: SQLAlchemyMachineStore, engine: Engine) -> None:
        """Where another was first, an unclear failure in between makes no difference."""
        store.bind(make_machine(), FIRST)
        Fault(engine, "INSERT", "before", 2, lost_connection())
        with pytest.raises(MachineCodeTaken):
            store.bind(make_machine(), SECOND)
        assert stored(engine) == [(CODE, FIRST.key)]

    def test_a_commit_lost_in_a_long_outage_has_unknown_outcome(
        self, sessions: sessionmaker[Session], engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The row may be there, and the text says so, without any value."""
        store = SQLAlchemyMachineStore(sessions, Machine, deadline=0.5)
        store.bind(make_machine(OTHER), SECOND)  # asks the catalogue
        outage = LostCommits(engine, monkeypatch, then_outage=True)
        with pytest.raises(StoreFailure, match=r"gave up at try \d+, outcome unknown") as failure:
            store.bind(make_machine(), FIRST)
        assert "secret" not in str(failure.value)
        assert (failure.value.__cause__, failure.value.__context__) == (None, None)
        outage.then_outage = False
        assert sorted(stored(engine)) == [(OTHER, SECOND.key), (CODE, FIRST.key)]

    def test_a_try_longer_than_the_deadline_is_repeated_once(
        self, sessions: sessionmaker[Session], engine: Engine
    ) -> None:
        """A COMMIT that hung for long and then broke is cleared up all the same."""
        Fault(engine, "INSERT", "after", 1, lost_connection())
        SQLAlchemyMachineStore(sessions, Machine, deadline=0).bind(make_machine(), FIRST)
        assert stored(engine) == [(CODE, FIRST.key)]

    def test_the_same_insert_is_repeated(self, store: SQLAlchemyMachineStore, engine: Engine) -> None:
        """Each repetition carries the same values, the attempt's above all."""
        store.bind(make_machine(OTHER), FIRST)  # asks the catalogue
        sent: list[Any] = []

        @event.listens_for(engine, "before_cursor_execute")
        def note(
            connection: object, cursor: object, statement: str, parameters: object, *rest: object
        ) -> None:
            if statement.startswith("INSERT"):
                sent.append(parameters)

        Fault(engine, "INSERT", "before", 2, lost_connection())
        store.bind(make_machine(), FIRST)
        assert len(sent) == 3
        assert sent[0] == sent[1] == sent[2]


class TestOtherFailures:
    """Failures that are no conflict of machine codes."""

    def test_a_vanished_owner_is_no_user(self, store: SQLAlchemyMachineStore, engine: Engine) -> None:
        """Where a foreign key finds the user gone, the answer is 10003 and nothing is stored."""
        with pytest.raises(UserNotFound):
            store.bind(make_machine(), User(99, "ASD000099", ""))
        assert stored(engine) == []

    def test_a_permanent_failure_is_not_tried_again(
        self, store: SQLAlchemyMachineStore, statements: list[str], engine: Engine
    ) -> None:
        """A missing table is found at the first try; the log learns which."""
        Machine.__table__.drop(engine)
        statements.clear()
        with pytest.raises(StoreFailure, match=r"gave up at try 1: .*(no such table: machine|42P01|1146)"):
            store.bind(make_machine(), FIRST)
        assert statements.count("INSERT") == 1

    def test_a_locked_database_is_waited_for(self, store: SQLAlchemyMachineStore, engine: Engine) -> None:
        """A locked database passes, and nothing was written by what failed."""
        fault = Fault(engine, "INSERT", "before", 3, busy())
        store.bind(make_machine(), FIRST)
        assert fault.fired == 3

    def test_another_unique_key_is_not_a_taken_code(self, engine: Engine) -> None:
        """A violation that no machine with this code explains is a failure, not 10004."""
        base: Any = declarative_base()

        class Single(MachineMixin, base):
            __tablename__ = "single"
            id = Column(Integer, primary_key=True)
            user_id = Column(Integer, unique=True)

        base.metadata.create_all(engine)
        store = SQLAlchemyMachineStore(sessionmaker(engine), Single, deadline=0.1)
        store.bind(make_machine(OTHER), FIRST)
        with pytest.raises(StoreFailure, match=r"(UNIQUE constraint failed: single\.user_id|23505|1062)"):
            store.bind(make_machine(CODE), FIRST)

    def test_an_interrupt_leaves_no_open_transaction(
        self, store: SQLAlchemyMachineStore, engine: Engine
    ) -> None:
        """A worker that is interrupted during a binding gives its connection back, and others can write."""
        Fault(engine, "INSERT", "after", 1, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            store.bind(make_machine(), FIRST)
        assert engine.pool.checkedout() == 0
        store.bind(make_machine(OTHER), FIRST)


@on("sqlite", "mariadb-pymysql")
class TestFind:
    """``find`` returns one machine by its code."""

    def test_a_bound_machine_is_found_with_its_owner(self, store: SQLAlchemyMachineStore) -> None:
        """The machine comes as the list of its owner shows it, with the key that is in its row."""
        store.bind(make_machine(CODE), FIRST)
        store.bind(make_machine(OTHER), SECOND)
        (listed,) = store.list_for(SECOND)
        assert store.find(OTHER) == (listed, SECOND.key)

    @pytest.mark.parametrize("code", [OTHER, CODE.upper(), CODE + " ", ""])
    def test_another_code_is_not_found(self, store: SQLAlchemyMachineStore, code: str) -> None:
        """Codes are compared exactly here, too."""
        store.bind(make_machine(CODE), FIRST)
        assert store.find(code) is None


def test_machines_with_equal_timestamps_have_an_order(store: SQLAlchemyMachineStore, engine: Engine) -> None:
    """Where two were bound in the same microsecond their codes decide, and pages still join."""
    timestamp = datetime(2026, 1, 1, tzinfo=timezone.utc)
    codes = [f"{number:032}" for number in (3, 1, 2)]
    with Session(engine) as session:
        for code in codes:
            facts = dict.fromkeys(MACHINE_FIELDS, "x")
            row = {**facts, "machine_code": code, "attempt": code, "user_id": 1}
            session.add(Machine(registered_at=timestamp, **row))
        session.commit()
    pages = []
    after = None
    while page := store.list_for(FIRST, after=after, limit=1):
        pages += page
        after = page[-1].machine_code
    assert [machine.machine_code for machine in pages] == sorted(codes)
    timestamps = {machine.registered_at for machine in pages}
    assert timestamps == {timestamp}
    assert {found and found.utcoffset() for found in timestamps} == {timedelta(0)}


@on("sqlite")
def test_a_timestamp_is_stored_in_utc(store: SQLAlchemyMachineStore) -> None:
    """SQLite and MySQL keep no offset; a timestamp without one could be any time."""
    there = datetime(2026, 1, 1, 8, tzinfo=timezone(timedelta(hours=8)))
    store.bind(replace(make_machine(), registered_at=there), FIRST)
    (kept,) = store.list_for(FIRST)
    assert kept.registered_at == datetime(2026, 1, 1, tzinfo=timezone.utc)
    with pytest.raises(StoreFailure, match="registered_at has no time zone"):
        store.bind(replace(make_machine(OTHER), registered_at=datetime(2026, 1, 1)), FIRST)


def test_the_owner_is_recognized_whatever_the_type_of_its_key(store: SQLAlchemyMachineStore) -> None:
    """A user store of the host's may name the key as text where the column holds an integer."""
    store.bind(make_machine(), FIRST)
    with pytest.raises(MachineCodeTaken) as taken:
        store.bind(make_machine(), User("1", "ASD000001", ""))
    assert taken.value.by_same_user


@on("sqlite")
def test_timestamps_of_another_zone_become_utc(engine: Engine) -> None:
    """A server that answers in its session's zone (PostgreSQL) changes no timestamp."""

    class Local(TypeDecorator[datetime]):
        impl = DateTime
        cache_ok = True

        def process_result_value(self, value: Any, dialect: Dialect) -> datetime:
            timestamp: datetime = value.replace(tzinfo=timezone.utc)
            return timestamp.astimezone(timezone(timedelta(hours=8)))

    base: Any = declarative_base()

    class Zoned(MachineMixin, base):
        __tablename__ = "zoned"
        id = Column(Integer, primary_key=True)
        user_id = Column(Integer)
        registered_at = Column(Local, nullable=False)

    base.metadata.create_all(engine)
    store = SQLAlchemyMachineStore(sessionmaker(engine), Zoned)
    before = datetime.now(timezone.utc)
    store.bind(make_machine(), FIRST)
    after = datetime.now(timezone.utc)
    (kept,) = store.list_for(FIRST)
    assert kept.registered_at is not None
    assert kept.registered_at.utcoffset() == timedelta(0)
    assert before <= kept.registered_at <= after


@pytest.mark.parametrize("kind", [SQLAlchemyMachineStore, SQLAlchemyUserStore])
def test_the_deadline_is_four_seconds(kind: type) -> None:
    """Both stores have the documented deadline unless the host gives another."""
    assert inspect.signature(kind).parameters["deadline"].default == 4.0


@pytest.mark.parametrize("times", [1, 2])
def test_a_cancelled_statement_is_tried_once_more(
    store: SQLAlchemyMachineStore, engine: Engine, times: int
) -> None:
    """Somebody who cancels twice means it."""
    fault = Fault(engine, "INSERT", "before", times, wrap(psycopg.errors.QueryCanceled()))
    if times == 1:
        store.bind(make_machine(), FIRST)
    else:
        with pytest.raises(StoreFailure, match=r"gave up at try 2: .*code 57014"):
            store.bind(make_machine(), FIRST)
    assert fault.fired == times


@on("sqlite")
def test_an_unknown_outcome_stays_unknown(
    store: SQLAlchemyMachineStore, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later failure that is clear does not hide that an earlier try may have committed."""
    store.bind(make_machine(OTHER), FIRST)
    LostCommits(engine, monkeypatch)
    second = Fault(engine, "INSERT", "after", 2, wrap(psycopg.errors.UndefinedTable(), exc.ProgrammingError))
    second.left = 0
    event.listen(engine, "commit", lambda connection: setattr(second, "left", 1))
    with pytest.raises(StoreFailure, match=r"at try 2, outcome unknown: .*code 42P01"):
        store.bind(make_machine(), FIRST)
    assert (CODE, FIRST.key) in stored(engine)


@on("sqlite")
def test_no_frame_of_a_failure_has_values(engine: Engine, store: SQLAlchemyMachineStore) -> None:
    """A task that calls a store may be reported with the local variables of each frame."""
    Machine.__table__.drop(engine)
    with pytest.raises(StoreFailure) as failure:
        store.bind(make_machine(), FIRST)
    report = traceback.TracebackException.from_exception(failure.value, capture_locals=True)
    captured = [frame.locals or {} for frame in report.stack if "flask_aegis_machines" in frame.filename]
    assert captured
    assert make_machine().machine_code not in str(captured)
    assert make_machine().windows_uuid not in str(captured)


@on("sqlite")
def test_nobody_owns_a_machine_without_a_key(engine: Engine, store: SQLAlchemyMachineStore) -> None:
    """A code would be taken for ever, by nobody."""
    with pytest.raises(StoreFailure, match="the user has no key"):
        store.bind(make_machine(), User(None, "ASD000001", ""))
    assert stored(engine) == []
