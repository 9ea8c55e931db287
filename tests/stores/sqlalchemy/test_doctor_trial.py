"""The trial of doctor: a binding whose transaction is rolled back."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session, sessionmaker

from flask_aegis_machines import Machine as MachineRecord
from flask_aegis_machines import StoreFailure, User
from flask_aegis_machines.stores import Notice
from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore, _binding
from tests.support.engines import on, stored
from tests.support.hosts import FIRST
from tests.support.models import Machine


def test_a_good_table_passes_and_keeps_nothing(store: SQLAlchemyMachineStore, engine: Engine) -> None:
    """Every step works, and no row is left."""
    assert store.try_binding(FIRST) == []
    assert stored(engine) == []
    assert engine.pool.checkedout() == 0


def test_a_user_who_does_not_exist_is_a_failure(store: SQLAlchemyMachineStore) -> None:
    """The foreign key reports it."""
    with pytest.raises(StoreFailure):
        store.try_binding(User(99, "ASD000099", ""))


@pytest.mark.parametrize("with_hook", [True, False])
def test_the_hook_runs_only_when_asked(
    sessions: sessionmaker[Session], engine: Engine, with_hook: bool
) -> None:
    """A hook may have effects that no ROLLBACK undoes."""
    calls: list[object] = []

    def hook(connection: Connection, machine: MachineRecord, user: User) -> None:
        calls.append(user)

    store = SQLAlchemyMachineStore(sessions, Machine, within=hook)
    assert store.try_binding(FIRST, with_hook=with_hook) == []
    assert calls == [FIRST] * with_hook
    assert stored(engine) == []


def test_autocommit_is_not_tried(engine: Engine) -> None:
    """Nothing could be undone there."""
    automatic = create_engine(engine.url, isolation_level="AUTOCOMMIT")
    (notice,) = SQLAlchemyMachineStore(sessionmaker(automatic), Machine).try_binding(FIRST)
    assert isinstance(notice, Notice)
    assert notice.startswith("The connection is in autocommit: no trial")
    assert stored(engine) == []
    automatic.dispose()


@on("postgresql-pair")
def test_a_replica_is_not_tried(engine: Engine, pair: Any) -> None:
    """A standby refuses to write, which is no fault."""
    standby = create_engine(pair.standby.url("psycopg", str(engine.url.database)))
    (notice,) = SQLAlchemyMachineStore(sessionmaker(standby), Machine).try_binding(FIRST)
    assert (type(notice), "replica" in notice) == (Notice, True)
    standby.dispose()


@on("sqlite")
class TestFindings:
    """Each step that fails is named."""

    def test_a_trigger_that_skips_the_row(self, store: SQLAlchemyMachineStore, engine: Engine) -> None:
        """Nothing was stored."""
        with engine.begin() as connection:
            skip = "CREATE TRIGGER skip BEFORE INSERT ON machine BEGIN SELECT RAISE(IGNORE); END"
            connection.execute(text(skip))
        assert store.try_binding(FIRST) == [
            "The trial failed: the database stored no row. Look for triggers that skip rows."
        ]

    def test_a_trigger_that_changes_the_row(self, store: SQLAlchemyMachineStore, engine: Engine) -> None:
        """Something else was stored."""
        with engine.begin() as connection:
            change = "UPDATE machine SET user_id = 2 WHERE machine_code = new.machine_code"
            connection.execute(text(f"CREATE TRIGGER change AFTER INSERT ON machine BEGIN {change}; END"))
        assert store.try_binding(FIRST) == [
            "The trial failed: the table does not show the row that was stored. Look for triggers."
        ]

    @pytest.mark.parametrize(
        ("method", "result", "finding"),
        [("conflicting", [], "cannot be locked FOR SHARE"), ("one", True, "was stored a second time")],
    )
    def test_a_lock_or_a_key_that_does_not_hold(
        self,
        store: SQLAlchemyMachineStore,
        monkeypatch: pytest.MonkeyPatch,
        method: str,
        result: object,
        finding: str,
    ) -> None:
        """A row that cannot be locked, or a code that is stored twice, is named."""
        real = getattr(_binding.Insert, method)
        calls: list[object] = []

        def once(*arguments: object) -> object:
            calls.append(arguments)
            return real(*arguments) if method == "one" and len(calls) == 1 else result

        monkeypatch.setattr(_binding.Insert, method, once)
        (problem,) = store.try_binding(FIRST)
        assert finding in problem
