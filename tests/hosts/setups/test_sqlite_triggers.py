"""Set-ups of hosts on SQLite: triggers, temporary tables, views and autocommit."""

from __future__ import annotations

import pytest

from tests.support.live_databases import Database
from tests.support.setup_runs import run
from tests.support.setup_texts import (
    CHANGED,
    FAILS,
    GIVEN_AWAY,
    NO_FOREIGN_KEY,
    NO_KEY,
    NOT_STORED,
    NOT_UNIQUE,
    TRIGGERS,
    refused,
)
from tests.support.setups import SetUp, machine_table, on_connect

TEMPORARY = machine_table(user_id="INTEGER")[1].replace("CREATE TABLE", "CREATE TEMP TABLE")


def trigger(when: str, action: str) -> tuple[str, ...]:
    return (f"CREATE TRIGGER special {when} INSERT ON machine BEGIN {action}; END",)


def rewritten(column: str, value: str) -> tuple[str, ...]:
    return trigger("AFTER", f"UPDATE machine SET {column} = {value} WHERE id = NEW.id")


TRIGGERED = [
    SetUp(
        "a trigger that skips each row",
        trigger("BEFORE", "SELECT RAISE(IGNORE)"),
        register=FAILS,
        log=NOT_STORED,
        doctor=[TRIGGERS],
        trial="stored no row",
    ),
    SetUp(
        "a trigger that skips duplicates",
        trigger(
            "BEFORE",
            "SELECT RAISE(IGNORE) WHERE EXISTS (SELECT 1 FROM machine WHERE machine_code = NEW.machine_code)",
        ),
        doctor=[TRIGGERS],
    ),
    *(
        SetUp(
            f"a trigger that rewrites the {column}",
            rewritten(column, value),
            register=FAILS,
            log=CHANGED,
            doctor=[TRIGGERS],
            trial="does not show the row",
        )
        for column, value in (
            ("machine_code", "'x' || substr(machine_code, 2)"),
            ("user_id", "3 - user_id"),
            ("attempt", "lower(hex(randomblob(16)))"),
        )
    ),
    SetUp(
        "a trigger that deletes the row",
        trigger("AFTER", "DELETE FROM machine WHERE id = NEW.id"),
        register=FAILS,
        log=CHANGED,
        doctor=[TRIGGERS],
        trial="does not show the row",
    ),
    SetUp(
        "a trigger that redirects the row",
        (
            "CREATE TABLE archive AS SELECT * FROM machine",
            *trigger(
                "BEFORE", "INSERT INTO archive (machine_code) VALUES (NEW.machine_code); SELECT RAISE(IGNORE)"
            ),
        ),
        register=FAILS,
        log=NOT_STORED,
        doctor=[TRIGGERS],
        trial="stored no row",
        leftovers="SELECT machine_code FROM archive",
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
        "a trigger that gives the row to the newcomer in autocommit",
        trigger(
            "BEFORE",
            GIVEN_AWAY,
        ),
        options={"isolation_level": "AUTOCOMMIT"},
        register=FAILS,
        joined="10000 10004 10000",
        log="autocommit",
        doctor=[TRIGGERS],
        trial="autocommit",
    ),
    SetUp(
        "a trigger that writes an audit row",
        ("CREATE TABLE audit (code)", *trigger("AFTER", "INSERT INTO audit VALUES (NEW.machine_code)")),
        doctor=[TRIGGERS],
    ),
    SetUp(
        "a temporary trigger that deletes the row",
        engine=on_connect(
            "CREATE TEMP TRIGGER special AFTER INSERT ON main.machine"
            " BEGIN DELETE FROM machine WHERE id = NEW.id; END"
        ),
        register=FAILS,
        log=CHANGED,
        doctor=[TRIGGERS],
        trial="does not show the row",
    ),
    SetUp(
        "a temporary table in the way",
        engine=on_connect("CREATE TEMP TABLE machine AS SELECT * FROM main.machine"),
        **refused(NO_KEY, doctor=["A temporary table hides machine"]),
    ),
    SetUp(
        "a temporary table with a key in the way",
        engine=on_connect(TEMPORARY),
        check="bound bound",
        doctor=["A temporary table hides machine"],
        is_beyond=True,
    ),
    SetUp(
        "a view over the table",
        (
            "ALTER TABLE machine RENAME TO stored",
            "CREATE VIEW machine AS SELECT * FROM stored",
            "CREATE TRIGGER special INSTEAD OF INSERT ON machine"
            " BEGIN INSERT INTO stored (machine_code) VALUES (1); END",
        ),
        register=FAILS,
        log="a view: bind into a plain table",
        trial="a view: bind into a plain table",
        doctor=[NOT_UNIQUE, "Pages of the list", NO_FOREIGN_KEY, TRIGGERS],
    ),
    SetUp("autocommit", options={"isolation_level": "AUTOCOMMIT"}, trial="autocommit"),
    SetUp(
        "within= in autocommit",
        options={"isolation_level": "AUTOCOMMIT"},
        store={"within": lambda connection, machine, user: None},
        register=FAILS,
        joined="10000 10004 10000",
        log="autocommit",
        trial="autocommit",
    ),
]


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression")
@pytest.mark.parametrize("set_up", [*TRIGGERED], ids=str)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_set_up_is_right_or_refused(
    set_up: SetUp, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody gets 10000 without the row, or for another's code; what cannot work says what to do."""
    run(set_up, database, caplog)
