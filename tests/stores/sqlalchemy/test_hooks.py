"""What a host may add to a binding: rows and refusals (within), columns (values), users (where)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, ClassVar

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Integer,
    String,
    create_engine,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, declarative_base, scoped_session, sessionmaker

from flask_aegis_machines import ConfigurationError, Machine, MachineCodeTaken, StoreFailure, User
from flask_aegis_machines._answers import Answer
from flask_aegis_machines._errors import Refusal
from flask_aegis_machines.stores.sqlalchemy import (
    AccountMixin,
    MachineMixin,
    SQLAlchemyMachineStore,
    SQLAlchemyUserStore,
)
from flask_aegis_machines.testing import make_machine
from tests.support.driver_failures import Fault, LostCommits, lost_connection
from tests.support.engines import MARIADB, POSTGRESQL, on
from tests.support.hosts import USER_COLUMNS
from tests.support.models import OTHER

CODE = make_machine().machine_code
Base: Any = declarative_base()


class Person(AccountMixin, Base):
    """A user who may be deactivated."""

    __tablename__ = "person"
    id = Column(Integer, primary_key=True, autoincrement=False)
    is_active = Column(Boolean, nullable=False)


class Device(MachineMixin, Base):
    """A machine in a table with a column of the host."""

    __tablename__ = "device"
    id = Column(Integer, primary_key=True)
    user_id = Column(ForeignKey("person.id"))
    organisation = Column(String(20))


class Loose(MachineMixin, Base):
    """A machine without a foreign key, whose lock would hide what a hook reads."""

    __tablename__ = "loose"
    id = Column(Integer, primary_key=True)
    user_id = Column(Integer)


class Audit(Base):
    """A row for each binding."""

    __tablename__ = "audit"
    id = Column(Integer, primary_key=True)
    machine_code = Column(String(32), unique=True, nullable=False)


class TooMany(Refusal):
    """The user has too many machines."""

    answer: ClassVar[Answer] = Answer(403, "20001", "Too many machines")


FIRST, SECOND = User(11, "ASD000011", "1" * 18), User(12, "ASD000012", "2" * 18)


@pytest.fixture
def database(engine: Engine) -> Engine:
    """A database with two users, of whom the second is not active."""
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        for user in (FIRST, SECOND):
            columns = {"aegisspeed_id": user.aegisspeed_id, "id_number": user.id_number}
            session.add(Person(id=user.key, is_active=user is FIRST, **columns))
        session.commit()
    return engine


def rows(engine: Engine) -> tuple[list[str], list[str]]:
    """Return the codes of the machines and of the audit, as a new connection reads them."""
    with engine.connect() as connection:
        found = [
            connection.execute(select(column).order_by(column)).scalars().all()
            for column in (Device.machine_code, Audit.machine_code)
        ]
    return list(found[0]), list(found[1])


def audit(connection: Connection, machine: Machine, user: User) -> None:
    """Add a row in the transaction of the INSERT."""
    connection.execute(insert(Audit).values(machine_code=machine.machine_code))


def refuse(connection: Connection, machine: Machine, user: User) -> None:
    """Refuse every machine, after adding a row."""
    audit(connection, machine, user)
    raise TooMany


def swallow(connection: Connection, machine: Machine, user: User) -> None:
    """Send a statement that fails, and go on."""
    with pytest.raises(DBAPIError, match="no_such_table"):
        connection.exec_driver_sql("SELECT * FROM no_such_table")


def store_on(engine: Engine, **options: Any) -> SQLAlchemyMachineStore:
    """Make a store of the host with hooks."""
    return SQLAlchemyMachineStore(sessionmaker(engine), Device, **{"deadline": 15, **options})


class TestWithin:
    """The hook runs in the transaction of the INSERT."""

    def test_rows_of_the_hook_are_committed_with_the_machine(self, database: Engine) -> None:
        """A machine and its audit row are durable together."""
        store_on(database, within=audit).bind(make_machine(), FIRST)
        assert rows(database) == ([CODE], [CODE])

    def test_a_refusal_leaves_nothing(self, database: Engine) -> None:
        """Neither the machine nor a row of the hook is left, and the refusal reaches the caller."""
        with pytest.raises(TooMany):
            store_on(database, within=refuse).bind(make_machine(), FIRST)
        assert rows(database) == ([], [])
        assert database.pool.checkedout() == 0

    @pytest.mark.parametrize("how", ["joined", "host"])
    def test_a_refusal_leaves_nothing_in_a_transaction_of_the_host(self, database: Engine, how: str) -> None:
        """What the host wrote before stays, also where the machine is its first statement."""
        for is_first in (True, False):
            with database.connect() as connection, connection.begin() as outer:
                transaction: Any = "host" if how == "host" else "own"
                sessions = scoped_session(sessionmaker(connection))
                store = SQLAlchemyMachineStore(sessions, Device, transaction=transaction, within=refuse)
                if not is_first:
                    connection.execute(insert(Audit).values(machine_code="before"))
                with pytest.raises(TooMany):
                    store.bind(make_machine(), FIRST)
                outer.commit()
        assert rows(database) == ([], ["before"])

    @pytest.mark.parametrize(
        ("error", "expected"),
        [(KeyboardInterrupt, KeyboardInterrupt), (lost_connection, StoreFailure)],
        ids=["interrupt", "outage"],
    )
    def test_an_interrupted_hook_leaves_nothing_in_a_joined_connection(
        self, database: Engine, error: Callable[[], BaseException], expected: type[BaseException]
    ) -> None:
        """The savepoint is rolled back, whatever the host does with its transaction."""

        def fail(connection: Connection, machine: Machine, user: User) -> None:
            audit(connection, machine, user)
            raise error()

        with database.connect() as connection, connection.begin() as outer:
            store = SQLAlchemyMachineStore(scoped_session(sessionmaker(connection)), Device, within=fail)
            with pytest.raises(expected):
                store.bind(make_machine(), FIRST)
            outer.commit()
        assert rows(database) == ([], [])

    def test_the_hook_does_not_run_for_a_taken_code(self, database: Engine) -> None:
        """A conflict is found before the hook could do anything."""
        store_on(database).bind(make_machine(), FIRST)
        with pytest.raises(MachineCodeTaken):
            store_on(database, within=audit).bind(make_machine(), SECOND)
        assert rows(database) == ([CODE], [])

    def test_the_hook_runs_again_with_its_transaction(self, database: Engine) -> None:
        """After a transient failure of the hook, INSERT and hook are repeated together."""
        failures = [lost_connection()]

        def fail_once(connection: Connection, machine: Machine, user: User) -> None:
            audit(connection, machine, user)
            if failures:
                raise failures.pop()

        store_on(database, within=fail_once).bind(make_machine(), FIRST)
        assert rows(database) == ([CODE], [CODE])

    def test_the_hook_does_not_run_again_after_a_lost_reply(
        self, database: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where the first try has committed, its audit row is there already."""
        calls: list[str] = []

        def note(connection: Connection, machine: Machine, user: User) -> None:
            audit(connection, machine, user)
            calls.append(machine.machine_code)

        lost = LostCommits(database, monkeypatch)
        store_on(database, within=note).bind(make_machine(), FIRST)
        assert (lost.fired, calls, rows(database)) == (1, [CODE], ([CODE], [CODE]))

    @on(*POSTGRESQL, *MARIADB)  # SQLite has one writer at a time
    def test_a_limit_holds_for_requests_at_once(self, database: Engine) -> None:
        """The hook locks the user and counts what others have committed, on each default isolation level."""
        users = SQLAlchemyUserStore(sessionmaker(database), Person, **USER_COLUMNS)

        def limit(connection: Connection, machine: Machine, user: User) -> None:
            lock = select(Person.id).where(Person.id == user.key).with_for_update(key_share=True)
            connection.execute(lock)
            count = select(func.count()).select_from(Loose).where(Loose.user_id == user.key)
            if (connection.execute(count).scalar() or 0) > 2:
                raise TooMany

        store = SQLAlchemyMachineStore(sessionmaker(database), Loose, within=limit, deadline=20)
        assert store.try_binding(FIRST) == []  # asks the catalogue
        start = Barrier(6, timeout=60)

        def bind(code: str) -> type:
            with users.request_scope(), store.request_scope():
                user = users.get("11")
                assert user is not None
                start.wait()
                try:
                    store.bind(make_machine(code), user)
                except TooMany:
                    return TooMany
                return type(None)

        with ThreadPoolExecutor(6) as threads:
            outcomes = list(threads.map(bind, [f"{number:031}x" for number in range(6)]))
        assert (outcomes.count(type(None)), outcomes.count(TooMany)) == (2, 4)
        assert len(SQLAlchemyMachineStore(sessionmaker(database), Loose).list_for(FIRST)) == 2

    def test_a_violated_key_of_the_hook_is_no_taken_code(self, database: Engine) -> None:
        """Only the INSERT of the machine decides about the code."""
        with database.begin() as connection:
            connection.execute(insert(Audit).values(machine_code=CODE))
        with pytest.raises(StoreFailure, match=r"gave up at try \d: .*IntegrityError"):
            store_on(database, within=audit).bind(make_machine(), FIRST)
        assert rows(database) == ([], [CODE])

    @on(*POSTGRESQL)
    def test_an_error_that_the_hook_swallows_fails_the_binding(self, database: Engine) -> None:
        """PostgreSQL would answer the COMMIT of the failed transaction with ok, and store nothing."""
        with pytest.raises(StoreFailure, match="25P02"):
            store_on(database, within=swallow, deadline=0.5).bind(make_machine(), FIRST)
        assert rows(database) == ([], [])

    @on("sqlite", *MARIADB)
    def test_an_error_that_the_hook_swallows_changes_nothing(self, database: Engine) -> None:
        """SQLite and MariaDB roll the failed statement back, and go on with the transaction."""
        store_on(database, within=swallow).bind(make_machine(), FIRST)
        assert rows(database) == ([CODE], [])

    def test_a_hook_that_deletes_the_machine_fails_the_binding(self, database: Engine) -> None:
        """The row is read back after the hook."""

        def delete(connection: Connection, machine: Machine, user: User) -> None:
            connection.execute(Device.__table__.delete())

        with pytest.raises(StoreFailure, match="stored another row"):
            store_on(database, within=delete).bind(make_machine(), FIRST)
        assert rows(database) == ([], [])

    def test_an_error_of_the_hook_leaves_nothing_and_is_certain(self, database: Engine) -> None:
        """Nothing can have been committed, so the log does not call the outcome unknown."""

        def fail(connection: Connection, machine: Machine, user: User) -> None:
            raise KeyError("quota")

        with pytest.raises(StoreFailure, match=r"gave up at try 2: builtins\.KeyError") as failure:
            store_on(database, within=fail).bind(make_machine(), FIRST)
        assert "unknown" not in str(failure.value)
        assert rows(database) == ([], [])

    def test_autocommit_is_refused(self, database: Engine) -> None:
        """Where nothing could be undone, no hook runs and nothing is stored."""
        engine = create_engine(database.url, isolation_level="AUTOCOMMIT")
        with pytest.raises(ConfigurationError, match="The connection is in autocommit"):
            store_on(engine, within=audit).bind(make_machine(), FIRST)
        assert rows(database) == ([], [])
        engine.dispose()

    @on(*POSTGRESQL, *MARIADB)
    def test_an_outage_while_autocommit_is_checked_is_retried(self, database: Engine) -> None:
        """The binding is tried again, as after any outage, and not refused for good."""
        fault = Fault(database, "SAVEPOINT", "before", 1, lost_connection())
        store_on(database, within=audit).bind(make_machine(), FIRST)
        assert (fault.fired, rows(database)) == (1, ([CODE], [CODE]))

    @on("mariadb-pymysql", "mariadb-mysqlclient")
    def test_a_row_newer_than_the_snapshot_is_contention(self, database: Engine) -> None:
        """MariaDB from 11.6 on raises 1020 for it by default; the transaction is repeated."""
        tries: list[int] = []

        def read_and_lock(connection: Connection, machine: Machine, user: User) -> None:
            person = select(Person.is_active).where(Person.id == user.key)
            connection.execute(person).first()
            if not tries:
                with database.begin() as rival:
                    rival.execute(update(Person).where(Person.id == user.key).values(is_active=False))
            tries.append(1)
            connection.execute(person.with_for_update()).first()

        settings = {"init_command": "SET SESSION innodb_snapshot_isolation = ON"}
        engine = create_engine(database.url, connect_args=settings)
        SQLAlchemyMachineStore(sessionmaker(engine), Loose, within=read_and_lock).bind(make_machine(), FIRST)
        engine.dispose()
        assert len(tries) == 2

    @on("postgresql-psycopg")
    def test_each_statement_is_compiled_once(self, database: Engine) -> None:
        """A host's cache of compiled statements is not filled by ours."""
        store, sizes = store_on(database, within=audit), []
        for number in range(4):
            store.bind(make_machine(f"{number:032}"), FIRST)
            sizes.append(len(database._compiled_cache))  # type: ignore[arg-type]
        assert sizes[0] == sizes[-1] > 0

    def test_an_import_binds_one_by_one(self, database: Engine) -> None:
        """The hook sees each machine, and refuses its own only."""

        def refuse_second(connection: Connection, machine: Machine, user: User) -> None:
            audit(connection, machine, user)
            if connection.execute(select(func.count()).select_from(Device)).scalar() == 2:
                raise TooMany

        bindings = [(make_machine(code), FIRST) for code in (CODE, OTHER, CODE)]
        refusals = store_on(database, within=refuse_second).bind_many(bindings)
        assert [type(refusal) for refusal in refusals] == [type(None), TooMany, MachineCodeTaken]
        assert rows(database) == ([CODE], [CODE])


@on("sqlite")
class TestValues:
    """Columns of the host that the stores do not know."""

    def test_values_fill_columns_of_the_host(self, database: Engine) -> None:
        """The function gets the machine and the user, once for each binding."""
        store = store_on(database, values=lambda machine, user: {"organisation": f"of {user.key}"})
        store.bind(make_machine(), FIRST)
        assert store.bind_many([(make_machine(OTHER), SECOND)]) == [None]
        with database.connect() as connection:
            found = (
                connection.execute(select(Device.organisation).order_by(Device.organisation)).scalars().all()
            )
        assert found == ["of 11", "of 12"]

    def test_values_are_asked_for_again_after_a_failure(
        self, database: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A query of the function may meet a lost connection; what it has returned serves each try."""
        calls, failures = [], [lost_connection()]

        def organisation_of(machine: Machine, user: User) -> dict[str, Any]:
            calls.append(machine)
            if failures:
                raise failures.pop()
            return {"organisation": "x"}

        lost = LostCommits(database, monkeypatch)
        store_on(database, values=organisation_of).bind(make_machine(), FIRST)
        assert (lost.fired, len(calls), rows(database)) == (1, 2, ([CODE], []))

    def test_values_cannot_replace_what_the_store_writes(self, database: Engine) -> None:
        """The owner is the user of the token, whatever the function returns."""
        store = store_on(database, values=lambda machine, user: {"user_id": SECOND.key})
        store.bind(make_machine(), FIRST)
        assert [machine.machine_code for machine in store.list_for(FIRST)] == [CODE]

    def test_values_may_fill_other_columns_for_each_machine(self, database: Engine) -> None:
        """An import stores them all, although one INSERT of many rows has the columns of the first."""

        def organisation_of(machine: Machine, user: User) -> dict[str, Any]:
            return {} if machine.machine_code == CODE else {"organisation": "x"}

        bindings = [(make_machine(code), FIRST) for code in sorted((CODE, OTHER), reverse=True)]
        store = store_on(database, values=organisation_of)
        assert store.bind_many(bindings) == [None, None]
        with database.connect() as connection:
            found = connection.execute(select(Device.machine_code, Device.organisation)).all()
        assert dict(map(tuple, found)) == {CODE: None, OTHER: "x"}

    def test_values_may_refuse_a_machine_of_an_import(self, database: Engine) -> None:
        """The others are bound."""

        def organisation_of(machine: Machine, user: User) -> dict[str, Any]:
            if machine.machine_code == CODE:
                raise TooMany
            return {"organisation": "x"}

        store = store_on(database, values=organisation_of)
        refusals = store.bind_many([(make_machine(code), FIRST) for code in (OTHER, CODE, OTHER)])
        assert [type(refusal) for refusal in refusals] == [type(None), TooMany, MachineCodeTaken]
        assert rows(database)[0] == [OTHER]

    def test_an_unknown_attribute_is_refused(self, database: Engine) -> None:
        """A misspelt name is reported, and nothing is stored."""
        with pytest.raises(ConfigurationError, match=r"by attribute of the model: .*organisation"):
            store_on(database, values=lambda machine, user: {"organization": "x"}).bind(make_machine(), FIRST)
        assert rows(database) == ([], [])


def test_values_may_be_expressions(database: Engine) -> None:
    """The INSERT evaluates them, for a single machine and for many, and its conflicts stay conflicts."""

    def id_number_of(machine: Machine, user: User) -> dict[str, Any]:
        return {"organisation": select(Person.id_number).where(Person.id == user.key).scalar_subquery()}

    store = store_on(database, values=id_number_of)
    store.bind(make_machine(), FIRST)
    assert store.bind_many([(make_machine(OTHER), SECOND)]) == [None]
    with pytest.raises(MachineCodeTaken):
        store.bind(make_machine(), SECOND)
    with database.connect() as connection:
        query = select(Device.machine_code, Device.organisation).order_by(Device.organisation)
        found = [tuple(row) for row in connection.execute(query)]
    assert found == [(CODE, FIRST.id_number), (OTHER, SECOND.id_number)]


@on("sqlite")
class TestWhere:
    """Who may bind machines."""

    def users(self, engine: Engine) -> SQLAlchemyUserStore:
        """Make a store of active users."""
        return SQLAlchemyUserStore(sessionmaker(engine), Person, where=Person.is_active, **USER_COLUMNS)

    def test_others_are_not_found_for_a_request(self, database: Engine) -> None:
        """A deactivated user is nobody for a request, and somebody for the commands."""
        users = self.users(database)
        assert (users.get("11"), users.get("12")) == (FIRST, None)
        assert (users.get_any("12"), users.get_by_key(12)) == (SECOND, SECOND)

    def test_the_sample_is_a_user_who_may_bind(self, database: Engine) -> None:
        """A trial binds for a user whom a request would admit."""
        assert self.users(database).get_sample() == FIRST
        with database.begin() as connection:
            connection.execute(Person.__table__.update().values(is_active=False))
        assert self.users(database).get_sample() is None


@on("sqlite")
@pytest.mark.parametrize("transaction", ["own", "host"])
def test_the_store_says_whose_transaction_it_uses(database: Engine, transaction: Any) -> None:
    """The blueprint needs to know whether a binding belongs to the host's session."""
    store = SQLAlchemyMachineStore(scoped_session(sessionmaker(database)), Device, transaction=transaction)
    assert store.joins_host_transaction == (transaction == "host")


@pytest.mark.parametrize("name", ["within", "values"])
def test_what_is_no_function_is_refused(name: str) -> None:
    """A wrong argument is found when the store is made."""
    options: dict[str, Any] = {name: "audit"}
    with pytest.raises(ConfigurationError, match=f"{name} must be a function"):
        SQLAlchemyMachineStore(sessionmaker(), Device, **options)


@pytest.mark.parametrize("name", ["within", "values"])
def test_an_async_hook_is_refused(name: str) -> None:
    """Nobody would await it: a quota would not hold."""

    async def hook(*_arguments: object) -> None:
        """Refuse nobody."""

    options: dict[str, Any] = {name: hook}
    with pytest.raises(ConfigurationError, match=f"{name} must be a sync function"):
        SQLAlchemyMachineStore(sessionmaker(), Device, **options)


def test_what_is_no_condition_is_refused() -> None:
    """A wrong argument is found when the store is made."""
    with pytest.raises(ConfigurationError, match="where must be a condition of SQLAlchemy"):
        SQLAlchemyUserStore(sessionmaker(), Person, where=True, **USER_COLUMNS)


@pytest.mark.parametrize("deadline", [None, "4", -1, float("nan")])
def test_a_deadline_that_is_no_number_of_seconds_is_refused(deadline: Any) -> None:
    """Without it, nothing would ever be retried."""
    with pytest.raises(ConfigurationError, match="deadline must be a number of seconds"):
        SQLAlchemyMachineStore(sessionmaker(), Device, deadline=deadline)
