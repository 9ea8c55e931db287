"""Hooks that cannot work are reported, and none of them gives a machine away or takes one without a word."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session, sessionmaker

from flask_aegis_machines import ConfigurationError, Machine, MachineCodeTaken, User
from flask_aegis_machines._answers import Answer
from flask_aegis_machines._errors import Refusal
from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore
from flask_aegis_machines.testing import make_machine
from tests.support import models
from tests.support.engines import MARIADB, on, stored
from tests.support.hosts import FIRST

CODE = make_machine().machine_code


class Refused(Refusal):
    """The host wants no more machines."""

    answer: ClassVar[Answer] = Answer(403, "20001", "No more machines")


def bind(sessions: sessionmaker[Session], **hooks: Any) -> None:
    """Bind a machine through a store with these hooks."""
    SQLAlchemyMachineStore(sessions, models.Machine, **hooks).bind(make_machine(), FIRST)


def commit(connection: Connection, machine: Machine, user: User) -> None:
    """End the transaction of the binding."""
    connection.commit()


def commit_and_refuse(connection: Connection, machine: Machine, user: User) -> None:
    """End the transaction of the binding, and refuse."""
    connection.commit()
    raise Refused


def commit_and_fail(connection: Connection, machine: Machine, user: User) -> None:
    """End the transaction of the binding, and fail."""
    connection.commit()
    raise ValueError


def commit_by_text(connection: Connection, machine: Machine, user: User) -> None:
    """End the transaction of the binding behind SQLAlchemy's back, and refuse."""
    connection.exec_driver_sql("COMMIT")
    raise Refused


def create_table(connection: Connection, machine: Machine, user: User) -> None:
    """Send what MySQL commits at once, and refuse."""
    connection.exec_driver_sql("CREATE TABLE audit_of_today (id integer)")
    raise Refused


def refuse_in_session(connection: Connection, machine: Machine, user: User) -> None:
    """Refuse where a context manager rolls back on the way out."""
    with Session(bind=connection) as session, session.begin():
        raise Refused


def roll_back_and_refuse(connection: Connection, machine: Machine, user: User) -> None:
    """Undo the binding, and refuse."""
    connection.rollback()
    raise Refused


def roll_back(connection: Connection, machine: Machine, user: User) -> None:
    """Undo the binding."""
    connection.rollback()


def claim_for_user(*_arguments: object) -> Any:
    """Raise what another store raised, such as one that is being replaced."""
    raise MachineCodeTaken(by_same_user=True)


async def later(*_arguments: object) -> None:
    """Would refuse, if somebody awaited it."""


def yields(*_arguments: object) -> Iterator[None]:
    """Would refuse, if somebody iterated it."""
    return (None for _ in range(1))


needs_commit = pytest.mark.skipif(not hasattr(Connection, "commit"), reason="from SQLAlchemy 2 on")


@needs_commit
@pytest.mark.parametrize(
    ("within", "left"),
    [(commit, 1), (commit_and_refuse, 1), (commit_and_fail, 1), (commit_by_text, 1), (roll_back, 0)],
)
def test_a_hook_that_ends_the_transaction_is_reported(
    engine: Engine, sessions: sessionmaker[Session], within: Callable[..., None], left: int
) -> None:
    """Its outcome is told as unknown: a refused machine may be bound by then."""
    with pytest.raises(ConfigurationError, match="must not commit or roll back") as failure:
        bind(sessions, within=within)
    assert "outcome unknown" in str(failure.value)
    assert len(stored(engine)) == left


@needs_commit
@pytest.mark.parametrize("within", [refuse_in_session, roll_back_and_refuse])
def test_a_hook_may_undo_and_refuse(
    engine: Engine, sessions: sessionmaker[Session], within: Callable[..., None]
) -> None:
    """Nothing is left, as after any refusal, so the client gets the host's answer."""
    with pytest.raises(Refused):
        bind(sessions, within=within)
    assert stored(engine) == []


@on(*MARIADB)
def test_a_table_that_a_hook_creates_ends_the_transaction(
    engine: Engine, sessions: sessionmaker[Session]
) -> None:
    """MariaDB commits before it creates a table: the failure says so, and the trial finds its row."""
    with pytest.raises(ConfigurationError, match="such as CREATE TABLE"):
        bind(sessions, within=create_table)
    assert stored(engine) == [(CODE, FIRST.key)]

    def create_another(connection: Connection, machine: Machine, user: User) -> None:
        connection.exec_driver_sql("CREATE TABLE audit_of_tomorrow (id integer)")

    store = SQLAlchemyMachineStore(sessions, models.Machine, within=create_another)
    (problem,) = store.try_binding(FIRST, with_hook=True)
    assert "must not commit or roll back" in problem
    assert stored(engine)[-1][0] in problem


@on("sqlite", "postgresql-psycopg")
def test_the_trial_finds_what_its_hook_has_committed(engine: Engine, sessions: sessionmaker[Session]) -> None:
    """It names the row that it could not take back."""

    def commit_by_text(connection: Connection, machine: Machine, user: User) -> None:
        connection.exec_driver_sql("COMMIT")

    store = SQLAlchemyMachineStore(sessions, models.Machine, within=commit_by_text)
    problems = store.try_binding(FIRST, with_hook=True)
    ((code, _),) = stored(engine)
    assert code in problems[-1]


@pytest.mark.parametrize("hook", ["within", "values"])
def test_a_hook_cannot_say_that_the_code_is_taken(
    engine: Engine, sessions: sessionmaker[Session], hook: str
) -> None:
    """Otherwise a repetition would be answered as bound, with nothing stored."""
    with pytest.raises(ConfigurationError, match=f"{hook}= raised MachineCodeTaken"):
        bind(sessions, **{hook: claim_for_user})
    assert stored(engine) == []


@pytest.mark.parametrize("run", [lambda *arguments: later(*arguments), yields], ids=["async", "generator"])
@pytest.mark.parametrize("hook", ["within", "values"])
def test_a_hook_that_has_not_run_is_reported(
    engine: Engine, sessions: sessionmaker[Session], hook: str, run: Callable[..., object]
) -> None:
    """A lambda hides that its function is async; what a generator refuses, nobody would see."""
    with pytest.raises(ConfigurationError, match=f"{hook} returned before it had run"):
        bind(sessions, **{hook: run})
    assert stored(engine) == []


@pytest.mark.parametrize(
    "given", [None, [("note", 1)], {"ABC-secret"}, {"ABC-secret": 1}], ids=["none", "list", "set", "name"]
)
def test_wrong_values_are_reported_without_a_value(
    engine: Engine, sessions: sessionmaker[Session], given: object
) -> None:
    """A comma in the place of a colon makes a set of the machine's own values."""
    with pytest.raises(ConfigurationError, match="must return a dictionary, by attribute") as failure:
        bind(sessions, values=lambda machine, user: given)
    assert "secret" not in str(failure.value)
    assert stored(engine) == []
