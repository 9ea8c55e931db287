"""Set-ups of hosts on SQLite: keys and their ON CONFLICT clauses."""

from __future__ import annotations

import pytest
from sqlalchemy import Column, String

from tests.support.live_databases import Database
from tests.support.setup_runs import run
from tests.support.setup_texts import NO_KEY, NOT_EXACT, NOT_STORED, NOT_UNIQUE, refused
from tests.support.setups import SetUp, machine_table


def on_conflict(clause: str) -> tuple[str, ...]:
    return machine_table(machine_code=f"VARCHAR(32) NOT NULL UNIQUE ON CONFLICT {clause}")


def on_conflict_elsewhere(clause: str) -> tuple[str, ...]:
    return machine_table(windows_uuid=f"VARCHAR(255) NOT NULL UNIQUE ON CONFLICT {clause}")


KEYS = [
    SetUp("the mixin's table"),
    SetUp("no key", machine_table(machine_code="VARCHAR(32)"), **refused(NO_KEY, doctor=[NOT_UNIQUE])),
    SetUp(
        "a partial key",
        (
            *machine_table(machine_code="VARCHAR(32)"),
            "CREATE UNIQUE INDEX k ON machine (machine_code) WHERE user_id > 0",
        ),
        **refused(NO_KEY, doctor=[NOT_UNIQUE]),
    ),
    SetUp(
        "a partial key beside the key",
        ("CREATE UNIQUE INDEX soft ON machine (machine_code) WHERE user_id > 0",),
    ),
    SetUp(
        "a key on the code in lower case",
        (
            *machine_table(machine_code="VARCHAR(32)"),
            "CREATE UNIQUE INDEX k ON machine (lower(machine_code))",
        ),
        **refused(NO_KEY, doctor=[NOT_UNIQUE]),
    ),
    SetUp(
        "a key in lower case beside the key",
        ("CREATE UNIQUE INDEX folding ON machine (lower(machine_code))",),
        register="10000 10004 10005",
        log="IntegrityError",
    ),
    SetUp(
        "a column without case",
        machine_table(machine_code="VARCHAR(32) NOT NULL COLLATE NOCASE UNIQUE"),
        register="10000 10004 10005",
        log=NOT_STORED,
        doctor=[NOT_EXACT],
    ),
    SetUp(
        "a key without case on a column with case",
        (
            *machine_table(machine_code="VARCHAR(32)"),
            "CREATE UNIQUE INDEX k ON machine (machine_code COLLATE NOCASE)",
        ),
        register="10000 10004 10005",
        log=NOT_STORED,
        doctor=[NOT_EXACT],
    ),
    SetUp("ON CONFLICT IGNORE", on_conflict("IGNORE")),
    SetUp("ON CONFLICT REPLACE", on_conflict("REPLACE")),
    SetUp("ON CONFLICT FAIL", on_conflict("FAIL")),
    SetUp("ON CONFLICT ROLLBACK", on_conflict("ROLLBACK")),
    SetUp(
        "ON CONFLICT REPLACE on a second key of the code",
        machine_table("UNIQUE (machine_code) ON CONFLICT REPLACE"),
    ),
    *(
        SetUp(
            f"ON CONFLICT {clause} on another key",
            on_conflict_elsewhere(clause),
            register="10000 10004 10005",
            log="IntegrityError",
        )
        for clause in ("IGNORE", "REPLACE", "FAIL", "ROLLBACK")
    ),
    SetUp(
        "a code that is the primary key and no row id",
        machine_table(id="", machine_code="VARCHAR(32) NOT NULL PRIMARY KEY", options="WITHOUT ROWID"),
        machine=lambda: {"id": None, "machine_code": Column(String(32), primary_key=True)},
    ),
]


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression")
@pytest.mark.parametrize("set_up", [*KEYS], ids=str)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_set_up_is_right_or_refused(
    set_up: SetUp, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody gets 10000 without the row, or for another's code; what cannot work says what to do."""
    run(set_up, database, caplog)
