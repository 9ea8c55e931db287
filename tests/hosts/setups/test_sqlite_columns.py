"""Set-ups of hosts on SQLite: columns that change what is stored, and users whose keys are peculiar."""

from __future__ import annotations

import pytest
from sqlalchemy import Column, String

from tests.support.live_databases import Database
from tests.support.setup_runs import run
from tests.support.setup_texts import CHANGED, DIGITS, FAILS, NO_FOREIGN_KEY
from tests.support.setups import SetUp, machine_table

NUMBERS = "SQLite turns digits into numbers"


def account(
    identity: str = "VARCHAR(20)", aegisspeed_id: str = "VARCHAR(9)", id_number: str = "VARCHAR(64)"
) -> tuple[str, ...]:
    """Return statements that make the table of users again, with its rows."""
    columns = f"id {identity}, aegisspeed_id {aegisspeed_id}, id_number {id_number}"
    return (
        "PRAGMA foreign_keys=OFF",
        "ALTER TABLE account RENAME TO former",
        f"CREATE TABLE account ({columns})",
        "INSERT INTO account SELECT id, aegisspeed_id, id_number FROM former",
        "DROP TABLE former",
        *machine_table(user_id="INTEGER"),
    )


def text_keys(**options: object) -> dict[str, object]:
    return {
        "user": lambda: {"id": Column(String(20), primary_key=True)},
        "machine": lambda: {"user_id": Column(String(20))},
        **options,
    }


def numeric(name: str, kind: str, **expected: str) -> SetUp:
    return SetUp(
        f"a {name} that is {kind}",
        machine_table(**{name: f"{kind} NOT NULL{' UNIQUE' * (name == 'machine_code')}"}),
        code=DIGITS,
        doctor=[NUMBERS],
        **expected,  # type: ignore[arg-type]
    )


SET_UPS = [
    numeric("machine_code", "STRING", register=FAILS, log=CHANGED),
    numeric("machine_code", "INTEGER", register=FAILS, log=CHANGED),
    numeric("machine_code", "NUMERIC", register=FAILS, log=CHANGED),
    SetUp("a code of no declared type", machine_table(machine_code="NOT NULL UNIQUE"), code=DIGITS),
    SetUp(
        "a code declared BLOB",
        machine_table(machine_code="BLOB NOT NULL UNIQUE"),
        code=DIGITS,
        doctor=[NUMBERS],
    ),
    SetUp("a code declared TEXT", machine_table(machine_code="TEXT NOT NULL UNIQUE"), code=DIGITS),
    SetUp(
        "a table that is strict",
        tuple(
            statement.replace("VARCHAR(32)", "TEXT")
            .replace("VARCHAR(255)", "TEXT")
            .replace("TIMESTAMP", "TEXT")
            for statement in machine_table(options="STRICT")
        ),
    ),
    SetUp(
        "a code that is too short",
        machine_table(machine_code="VARCHAR(16) NOT NULL UNIQUE"),
        doctor=["Column machine_code holds 16 characters of 32"],
    ),
    SetUp("text as keys", keys=("alice", "Alice"), doctor=[NO_FOREIGN_KEY], **text_keys()),
    SetUp(
        "text as keys, compared without case",
        machine_table(user_id="VARCHAR(20) COLLATE NOCASE"),
        keys=("alice", "Alice"),
        doctor=[NO_FOREIGN_KEY],
        **text_keys(),
    ),
    SetUp(
        "text as keys in a column of numbers",
        machine_table(user_id="INTEGER"),
        keys=("007", "7"),
        register="10005 10000 10000",
        log=CHANGED,
        doctor=[NO_FOREIGN_KEY],
        trial="does not show the row",
        **text_keys(),
    ),
    SetUp(
        "two users with one identity",
        (*account(), "INSERT INTO account SELECT * FROM account"),
        register=FAILS,
        imported="10000 10004 10000",
        joined="10000 10004 10000",
        check="failed failed",
        lists="failed failed",
        log="several users have one id: make the column unique",
        doctor=[NO_FOREIGN_KEY, "Nothing makes id of table account unique"],
    ),
    SetUp(
        "integers as AegisSpeed IDs",
        (
            *account(aegisspeed_id="INTEGER"),
            "UPDATE account SET aegisspeed_id = '12345678' || id",
        ),
        register=FAILS,
        imported="10000 10004 10000",
        joined="10000 10004 10000",
        check="failed failed",
        lists="failed failed",
        log="the AegisSpeed ID of a user is no text",
        doctor=[
            NO_FOREIGN_KEY,
            "Nothing makes id of table account unique",
            "A user cannot be used: the AegisSpeed ID of a user is no text",
        ],
        trial="the AegisSpeed ID of a user is no text",
    ),
]


@pytest.mark.parametrize("set_up", SET_UPS, ids=str)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_set_up_is_right_or_refused(
    set_up: SetUp, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody gets 10000 without the row, or for another's code; what cannot work says what to do."""
    run(set_up, database, caplog)
