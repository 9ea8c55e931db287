"""Set-ups of hosts on MariaDB: keys and columns."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import CHAR, Column, String

from tests.support.live_databases import Database, mark_slow
from tests.support.setup_runs import run
from tests.support.setup_texts import (
    CHANGED,
    NO_FOREIGN_KEY,
    NO_KEY,
    NO_PAGE,
    NOT_EXACT,
    NOT_UNIQUE,
    OTHER_KEY,
    refused,
)
from tests.support.setups import WITHOUT_KEYS_TO_USERS, SetUp

EXACT = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL"


FOLDING = "CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL"


LOOSE = {"connect_args": {"init_command": "SET SESSION sql_mode = ''"}}
NOT_STRICT = "sql_mode of the connection is not strict"


def keys(*statements: str) -> tuple[str, ...]:
    """Return statements that give the table these keys only."""
    return ("DROP INDEX ix_machine_machine_code ON machine", *statements)


def column(name: str, kind: str) -> tuple[str, ...]:
    """Return statements that change the type of a column of machines."""
    return (f"ALTER TABLE machine MODIFY {name} {kind}",)


def text_keys(**options: Any) -> dict[str, Any]:
    """Return what makes a host whose keys are text, without a foreign key."""
    return {
        "user": lambda: {"id": Column(String(36, collation="utf8mb4_bin"), primary_key=True)},
        "machine": lambda: {"user_id": Column(String(36))},
        "keys": ("alice", "Alice"),
        **options,
    }


KEYS = [
    SetUp("the mixin's table"),
    SetUp("no key", keys(), doctor=[NOT_UNIQUE], **refused(NO_KEY)),
    SetUp(
        "a key on a prefix",
        keys("CREATE UNIQUE INDEX k ON machine (machine_code(10))"),
        doctor=[NOT_UNIQUE],
        **refused(NO_KEY),
    ),
    SetUp(
        "a key on a prefix beside the key",
        ("CREATE UNIQUE INDEX k ON machine (machine_code(10))",),
    ),
    SetUp(
        "a key with the owner",
        keys("CREATE UNIQUE INDEX k ON machine (machine_code, user_id)"),
        doctor=[NOT_UNIQUE],
        **refused(NO_KEY),
    ),
    SetUp(
        "a key that the optimizer ignores",
        ("ALTER TABLE machine ALTER INDEX ix_machine_machine_code IGNORED",),
        doctor=[NOT_UNIQUE],
    ),
    SetUp(
        "a key without case beside the key",
        (
            "ALTER TABLE machine ADD folded VARCHAR(32) AS (lower(machine_code)) PERSISTENT",
            "CREATE UNIQUE INDEX folding ON machine (folded)",
        ),
        register="10000 10004 10005",
        log=OTHER_KEY,
    ),
    SetUp(
        "a code without case",
        column("machine_code", f"VARCHAR(32) {FOLDING}"),
        register="10000 10004 10005",
        log=OTHER_KEY,
        doctor=[NOT_EXACT],
    ),
    SetUp(
        "a code of any length with a hash key",
        keys(
            *WITHOUT_KEYS_TO_USERS,
            "DROP INDEX machine_page ON machine",
            *column("machine_code", f"TEXT {EXACT}"),
            "CREATE UNIQUE INDEX k ON machine (machine_code) USING HASH",
        ),
        doctor=[NO_PAGE, NO_FOREIGN_KEY],
    ),
    SetUp(
        "partitions by code",
        (
            *WITHOUT_KEYS_TO_USERS,
            "ALTER TABLE machine DROP PRIMARY KEY, MODIFY id INT NOT NULL AUTO_INCREMENT, ADD KEY (id)",
            "ALTER TABLE machine PARTITION BY KEY (machine_code) PARTITIONS 4",
        ),
        doctor=[NO_FOREIGN_KEY],
    ),
    SetUp(
        "partitions by owner",
        (
            *WITHOUT_KEYS_TO_USERS,
            *keys("CREATE UNIQUE INDEX k ON machine (machine_code, user_id)"),
            "ALTER TABLE machine MODIFY user_id INT NOT NULL",
            "ALTER TABLE machine DROP PRIMARY KEY, ADD PRIMARY KEY (id, user_id)",
            "ALTER TABLE machine PARTITION BY HASH (user_id) PARTITIONS 4",
        ),
        doctor=[NOT_UNIQUE, NO_FOREIGN_KEY],
        **refused(NO_KEY),
    ),
    SetUp("a table with all its versions", ("ALTER TABLE machine ADD SYSTEM VERSIONING",)),
    SetUp(
        "a view over the table",
        ("RENAME TABLE machine TO stored", "CREATE VIEW machine AS SELECT * FROM stored"),
        doctor=[NOT_UNIQUE, NO_PAGE, NO_FOREIGN_KEY],
        **refused(NO_KEY),
    ),
]


COLUMNS = [
    SetUp("a code of exactly 32 characters", column("machine_code", f"CHAR(32) {EXACT}")),
    SetUp("a code with blanks", column("machine_code", f"CHAR(40) {EXACT}")),
    SetUp(
        "a code of bytes",
        column("machine_code", "VARBINARY(32) NOT NULL"),
        doctor=[NOT_EXACT],
        **{**refused(CHANGED), "trial": "does not show the row"},
    ),
    SetUp(
        "a code that is too short",
        column("machine_code", f"VARCHAR(16) {EXACT}"),
        doctor=["holds 16 characters"],
        **refused("is too short"),
    ),
    SetUp(
        "a code that is cut",
        column("machine_code", f"VARCHAR(16) {EXACT}"),
        options=LOOSE,
        doctor=["holds 16 characters", NOT_STRICT],
        **{**refused(CHANGED), "trial": "does not show the row"},
    ),
    SetUp(
        "a NOT NULL column of the live table",
        ("ALTER TABLE machine ADD serial_number VARCHAR(20) NOT NULL",),
        **refused("column serial_number"),
    ),
    SetUp(
        "a NOT NULL column of the live table that the server fills",
        ("ALTER TABLE machine ADD serial_number VARCHAR(20) NOT NULL",),
        options=LOOSE,
        doctor=[NOT_STRICT],
    ),
    SetUp(
        "owners without case",
        (f"ALTER TABLE machine MODIFY user_id VARCHAR(36) {FOLDING}",),
        doctor=[NO_FOREIGN_KEY],
        **text_keys(),
    ),
    SetUp(
        "owners that are CHAR", column("user_id", f"CHAR(36) {EXACT}"), doctor=[NO_FOREIGN_KEY], **text_keys()
    ),
    SetUp(
        "text over integers as owners",
        column("user_id", "INT"),
        doctor=[NO_FOREIGN_KEY],
        **text_keys(keys=("1", "2")),
    ),
    SetUp(
        "text over integers as owners, with zeros",
        column("user_id", "INT"),
        doctor=[NO_FOREIGN_KEY],
        **text_keys(keys=("01", "02"), **{**refused(CHANGED), "trial": "does not show the row"}),
    ),
    SetUp(
        "text over integers as owners, cut",
        column("user_id", "INT"),
        options=LOOSE,
        doctor=[NO_FOREIGN_KEY, NOT_STRICT],
        **text_keys(keys=("7a", "7b"), **{**refused(CHANGED), "trial": "does not show the row"}),
    ),
    SetUp(
        "CHAR in the model",
        machine=lambda: {"machine_code": Column(CHAR(32, collation="utf8mb4_bin"), unique=True)},
    ),
]


@pytest.mark.filterwarnings("ignore:Unknown schema content")
@pytest.mark.parametrize("set_up", [*KEYS, *COLUMNS], ids=str)
@pytest.mark.parametrize("database", mark_slow(["pymysql", "mysqldb"]), indirect=True)
def test_a_set_up_is_right_or_refused(
    set_up: SetUp, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody gets 10000 without the row, or for another's code; what cannot work says what to do."""
    run(set_up, database, caplog)
