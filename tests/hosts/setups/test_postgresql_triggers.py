"""Set-ups of hosts on PostgreSQL: triggers, hooks and autocommit."""

from __future__ import annotations

import pytest

from tests.support.live_databases import Database, mark_slow
from tests.support.postgresql_setups import REWRITTEN, SKIPPED, trigger
from tests.support.setup_runs import run
from tests.support.setup_texts import FAILS, GIVEN_AWAY, NOT_STORED, TRIGGERS
from tests.support.setups import SetUp

pytestmark = pytest.mark.clusters

TRIGGERED = [
    SetUp("the mixin's table"),
    SetUp("a trigger that skips each row", trigger("BEFORE", "NULL", returns="NULL"), **SKIPPED),
    SetUp(
        "a trigger that skips duplicates",
        trigger(
            "BEFORE",
            "IF EXISTS (SELECT FROM machine WHERE machine_code = NEW.machine_code) THEN RETURN NULL; END IF",
        ),
        doctor=[TRIGGERS],
    ),
    *(
        SetUp(
            f"a trigger that rewrites the {column} before",
            trigger("BEFORE", f"NEW.{column} := {value}"),
            **REWRITTEN,
        )
        for column, value in (
            ("machine_code", "'x' || substr(NEW.machine_code, 2)"),
            ("user_id", "3 - NEW.user_id"),
            ("attempt", "md5(random()::text)"),
        )
    ),
    *(
        SetUp(
            f"a trigger that rewrites the {column} afterwards",
            trigger("AFTER", f"UPDATE machine SET {column} = {value} WHERE id = NEW.id"),
            **{**REWRITTEN, "trial": "does not show the row"},
        )
        for column, value in (
            ("machine_code", "'x' || substr(machine_code, 2)"),
            ("user_id", "3 - user_id"),
            ("attempt", "md5(random()::text)"),
        )
    ),
    SetUp(
        "a trigger that folds case",
        trigger("BEFORE", "NEW.machine_code := lower(NEW.machine_code)"),
        register="10000 10004 10005",
        log=NOT_STORED,
        doctor=[TRIGGERS],
    ),
    SetUp(
        "a trigger that deletes the row",
        trigger("AFTER", "DELETE FROM machine WHERE id = NEW.id"),
        **{**REWRITTEN, "trial": "does not show the row"},
    ),
    SetUp(
        "a trigger for each statement that deletes the row",
        (
            "CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN DELETE FROM machine; RETURN NULL; END$$",
            "CREATE TRIGGER special AFTER INSERT ON machine EXECUTE FUNCTION act()",
        ),
        **{**REWRITTEN, "trial": "does not show the row"},
    ),
    SetUp(
        "a trigger that redirects the row",
        (
            "CREATE TABLE archive AS SELECT * FROM machine",
            *trigger("BEFORE", "INSERT INTO archive SELECT NEW.*", returns="NULL"),
        ),
        leftovers="SELECT machine_code FROM archive",
        **SKIPPED,
    ),
    SetUp(
        "a trigger that deletes the row of the former owner",
        trigger("BEFORE", "DELETE FROM machine WHERE machine_code = NEW.machine_code"),
        doctor=[TRIGGERS],
        trial="stored a second time",
    ),
    SetUp(
        "a trigger that gives the row to the newcomer",
        trigger(
            "BEFORE",
            GIVEN_AWAY,
        ),
        doctor=[TRIGGERS],
    ),
    SetUp(
        "a trigger that deletes the row at the COMMIT",
        trigger(
            "AFTER",
            "DELETE FROM machine WHERE id = NEW.id",
            options="DEFERRABLE INITIALLY DEFERRED",
        ),
        register="10000 10000 10000",
        check="free free",
        lists="0 0",
        imported="10000 10000 10000",
        doctor=["A deferred one that changes rows goes unnoticed"],
        is_beyond=True,
    ),
    SetUp(
        "a trigger in autocommit",
        trigger("BEFORE", "NULL"),
        options={"isolation_level": "AUTOCOMMIT"},
        register=FAILS,
        log="autocommit",
        doctor=[TRIGGERS],
        trial="autocommit",
    ),
    SetUp("autocommit", options={"isolation_level": "AUTOCOMMIT"}, joined=FAILS, trial="autocommit"),
    SetUp(
        "within= in autocommit",
        options={"isolation_level": "AUTOCOMMIT"},
        store={"within": lambda connection, machine, user: None},
        register=FAILS,
        log="autocommit",
        trial="autocommit",
    ),
]


@pytest.mark.parametrize("set_up", [*TRIGGERED], ids=str)
@pytest.mark.parametrize("database", mark_slow(["psycopg", "psycopg2"]), indirect=True)
def test_a_set_up_is_right_or_refused(
    set_up: SetUp, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody gets 10000 without the row, or for another's code; what cannot work says what to do."""
    run(set_up, database, caplog)
