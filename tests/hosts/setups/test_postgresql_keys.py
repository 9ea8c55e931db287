"""Set-ups of hosts on PostgreSQL: keys."""

from __future__ import annotations

import pytest

from tests.support.live_databases import Database, mark_slow
from tests.support.setup_runs import run
from tests.support.setup_texts import NO_KEY, NOT_UNIQUE, refused
from tests.support.setups import LETTERS, SetUp, insert_machine

pytestmark = pytest.mark.clusters

INVALID = """DO $$BEGIN
    UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_machine_machine_code'::regclass;
END$$"""


def keys(*statements: str) -> tuple[str, ...]:
    """Return statements that give the table these keys only."""
    return ("DROP INDEX ix_machine_machine_code", *statements)


def duplicates() -> tuple[str, ...]:
    """Return statements that store a code for both users."""
    return tuple(insert_machine("machine", LETTERS[::-1], user) for user in (1, 2))


KEYS = [
    SetUp("no key", keys(), doctor=[NOT_UNIQUE], **refused(NO_KEY)),
    SetUp(
        "an invalid key",
        keys(*duplicates(), "!CREATE UNIQUE INDEX CONCURRENTLY k ON machine (machine_code)"),
        lists="1 1",
        doctor=["is invalid"],
        **refused(NO_KEY),
    ),
    SetUp(
        "an invalid key beside the key",
        ("CREATE UNIQUE INDEX k ON machine (machine_code)", INVALID),
        doctor=["is invalid"],
    ),
    SetUp(
        "a partial key",
        keys("CREATE UNIQUE INDEX k ON machine (machine_code) WHERE user_id > 0"),
        doctor=[NOT_UNIQUE],
        **refused(NO_KEY),
    ),
    SetUp(
        "a partial key beside the key",
        ("CREATE UNIQUE INDEX soft ON machine (machine_code) WHERE user_id > 0",),
    ),
    SetUp(
        "a key in lower case",
        keys("CREATE UNIQUE INDEX k ON machine (lower(machine_code))"),
        doctor=[NOT_UNIQUE],
        **refused(NO_KEY),
    ),
    SetUp(
        "a key in lower case beside the key",
        ("CREATE UNIQUE INDEX folding ON machine (lower(machine_code))",),
        register="10000 10004 10005",
        log="constraint folding",
    ),
    SetUp(
        "a deferrable key",
        keys("ALTER TABLE machine ADD CONSTRAINT k UNIQUE (machine_code) DEFERRABLE"),
        doctor=["is deferrable"],
        **refused("deferrable"),
    ),
    SetUp(
        "a deferrable key beside the key",
        ("ALTER TABLE machine ADD CONSTRAINT k UNIQUE (machine_code) DEFERRABLE",),
        doctor=["is deferrable"],
        **refused("deferrable"),
    ),
    SetUp(
        "an exclusion in place of the key",
        keys("ALTER TABLE machine ADD EXCLUDE USING btree (machine_code WITH =)"),
        doctor=[NOT_UNIQUE],
        **refused(NO_KEY),
    ),
    SetUp(
        "a key with included columns",
        keys("CREATE UNIQUE INDEX k ON machine (machine_code) INCLUDE (user_id)"),
    ),
    SetUp("a key by patterns", keys("CREATE UNIQUE INDEX k ON machine (machine_code varchar_pattern_ops)")),
    SetUp(
        "a key on another column in the way",
        ("CREATE UNIQUE INDEX other ON machine (windows_uuid)",),
        register="10000 10004 10005",
        log="constraint other",
    ),
]


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression")
@pytest.mark.parametrize("set_up", KEYS, ids=str)
@pytest.mark.parametrize("database", mark_slow(["psycopg", "psycopg2"]), indirect=True)
def test_a_set_up_is_right_or_refused(
    set_up: SetUp, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody gets 10000 without the row, or for another's code; what cannot work says what to do."""
    run(set_up, database, caplog)
