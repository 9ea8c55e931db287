"""What happens to a code when its owner is deleted, for each rule of the foreign key."""

from __future__ import annotations

import pytest
from sqlalchemy import Column, ForeignKey, text
from sqlalchemy.orm import sessionmaker

from flask_aegis_machines import MachineCodeTaken, User
from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore
from flask_aegis_machines.testing import make_machine
from tests.support.live_databases import Database, mark_slow
from tests.support.setups import SetUp, make_models, make_tables

FIRST, SECOND = User(1, "ASD000001", "1"), User(2, "ASD000002", "2")
CODE = make_machine().machine_code


def make_store(database: Database, rule: str) -> SQLAlchemyMachineStore:
    """Make a store whose foreign key has a rule, bind a machine, and delete its owner."""

    def machine_columns() -> dict[str, object]:
        return {"user_id": Column(ForeignKey("account.id", ondelete=rule), server_default=text("2"))}

    set_up = SetUp(rule, machine=machine_columns)
    user, machine = make_models(set_up)
    engine = database.engine()
    make_tables(engine, set_up, user, machine)
    store = SQLAlchemyMachineStore(sessionmaker(engine), machine)
    store.bind(make_machine(), FIRST)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM account WHERE id = 1"))
    return store


@pytest.mark.parametrize("database", mark_slow(["sqlite", "psycopg", "pymysql"]), indirect=True)
def test_a_code_stays_taken_with_set_null(database: Database) -> None:
    """The owner is gone, and nobody else gets the code."""
    store = make_store(database, "SET NULL")
    owner = store.owner_of(CODE)
    assert owner is not None
    assert owner.key is None
    with pytest.raises(MachineCodeTaken) as taken:
        store.bind(make_machine(), SECOND)
    assert not taken.value.by_same_user
    assert store.list_for(SECOND) == []
    assert store.problems() == []


@pytest.mark.parametrize("database", mark_slow(["sqlite", "psycopg", "pymysql"]), indirect=True)
def test_doctor_reports_a_rule_that_frees_codes(database: Database) -> None:
    """ON DELETE CASCADE deletes the machine, so its code is free: only ``doctor`` can say so."""
    store = make_store(database, "CASCADE")
    assert store.owner_of(CODE) is None
    (problem,) = store.problems()
    assert "ON DELETE CASCADE on user_id" in problem


@pytest.mark.parametrize("database", mark_slow(["sqlite", "psycopg"]), indirect=True)
def test_doctor_reports_a_rule_that_moves_codes(database: Database) -> None:
    """ON DELETE SET DEFAULT gives the machine to the default user: only ``doctor`` can say so."""
    store = make_store(database, "SET DEFAULT")
    assert [machine.machine_code for machine in store.list_for(SECOND)] == [CODE]
    (problem,) = store.problems()
    assert "ON DELETE SET DEFAULT on user_id" in problem
