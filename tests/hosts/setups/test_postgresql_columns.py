"""Set-ups of hosts on PostgreSQL: columns of machines and users."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from sqlalchemy import CHAR, Column, String

from tests.support.live_databases import Database, mark_slow
from tests.support.setup_runs import run
from tests.support.setup_texts import CHANGED, FAILS, NO_FOREIGN_KEY, NOT_EXACT, NOT_STORED, refused
from tests.support.setups import SetUp

TRIMMED = "SELECT machine_code, trim(user_id) FROM machine"
UUIDS = (str(uuid.UUID(int=0xA)), str(uuid.UUID(int=0xB)))

# What CREATE EXTENSION citext does, which the server of the tests lacks.
CITEXT = (
    "CREATE TYPE citext",
    "CREATE FUNCTION citextin(cstring) RETURNS citext AS 'textin' LANGUAGE internal IMMUTABLE STRICT",
    "CREATE FUNCTION citextout(citext) RETURNS cstring AS 'textout' LANGUAGE internal IMMUTABLE STRICT",
    "CREATE TYPE citext (INPUT = citextin, OUTPUT = citextout, INTERNALLENGTH = VARIABLE, STORAGE = extended,"
    " CATEGORY = 'S', COLLATABLE = true)",
    "CREATE CAST (citext AS text) WITHOUT FUNCTION AS IMPLICIT",
    "CREATE CAST (citext AS varchar) WITHOUT FUNCTION AS IMPLICIT",
    "CREATE CAST (text AS citext) WITHOUT FUNCTION AS ASSIGNMENT",
    "CREATE CAST (varchar AS citext) WITHOUT FUNCTION AS ASSIGNMENT",
    *(
        f"CREATE FUNCTION citext_{name}(citext, citext) RETURNS bool LANGUAGE sql IMMUTABLE STRICT"
        f" AS 'SELECT lower($1::text) {operator} lower($2::text)'"
        for name, operator in (("lt", "<"), ("le", "<="), ("eq", "="), ("ge", ">="), ("gt", ">"))
    ),
    *(
        f"CREATE OPERATOR {operator} (LEFTARG = citext, RIGHTARG = citext, FUNCTION = citext_{name})"
        for name, operator in (("lt", "<"), ("le", "<="), ("eq", "="), ("ge", ">="), ("gt", ">"))
    ),
    "CREATE FUNCTION citext_cmp(citext, citext) RETURNS int LANGUAGE sql IMMUTABLE STRICT"
    " AS 'SELECT bttextcmp(lower($1::text), lower($2::text))'",
    "CREATE OPERATOR CLASS citext_ops DEFAULT FOR TYPE citext USING btree AS OPERATOR 1 <, OPERATOR 2 <=,"
    " OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 citext_cmp(citext, citext)",
)

pytestmark = pytest.mark.clusters


def column(name: str, kind: str) -> tuple[str, ...]:
    """Return statements that change the type of a column of machines."""
    return (f"ALTER TABLE machine ALTER COLUMN {name} TYPE {kind} USING {name}::text::{kind}",)


def user_column(name: str, kind: str) -> tuple[str, ...]:
    """Return statements that change the type of a column of users."""
    return (f"ALTER TABLE account ALTER COLUMN {name} TYPE {kind} USING {name}::text::{kind}",)


def text_keys(kind: Any = None, **options: Any) -> dict[str, Any]:
    """Return what makes a host whose keys are text, without a foreign key."""
    return {
        "user": lambda: {"id": Column(kind or String(36), primary_key=True)},
        "machine": lambda: {"user_id": Column(kind or String(36))},
        "keys": ("alice", "Alice"),
        **options,
    }


COLUMNS = [
    SetUp(
        "a code without case",
        (*CITEXT, *column("machine_code", "citext")),
        register="10000 10004 10005",
        log=NOT_STORED,
        doctor=[NOT_EXACT],
    ),
    SetUp("a code of exactly 32 characters", column("machine_code", "char(32)")),
    SetUp(
        "a code with blanks",
        column("machine_code", "char(40)"),
        doctor=["Columns machine_code are CHAR in the database"],
        **refused(CHANGED),
    ),
    SetUp(
        "a code that is too short",
        column("machine_code", "varchar(16)"),
        doctor=["holds 16 characters"],
        **refused("22001"),
    ),
    SetUp(
        "a code of a domain",
        ("CREATE DOMAIN code AS text CHECK (length(value) = 32)", *column("machine_code", "code")),
    ),
    SetUp(
        "a NOT NULL column of the live table",
        ("ALTER TABLE machine ADD serial_number text NOT NULL",),
        **refused("column serial_number"),
    ),
    SetUp(
        "owners that are CHAR",
        column("user_id", "char(36)"),
        doctor=[NO_FOREIGN_KEY],
        rows=TRIMMED,
        **text_keys(CHAR(36)),
    ),
    SetUp(
        "owners that are CHAR in the database only",
        column("user_id", "char(36)"),
        doctor=[NO_FOREIGN_KEY, "user_id are CHAR"],
        **text_keys(**refused(CHANGED)),
    ),
    SetUp(
        "owners without case",
        (*CITEXT, *column("user_id", "citext")),
        doctor=[NO_FOREIGN_KEY],
        **text_keys(),
    ),
    SetUp(
        "identities that are CHAR",
        user_column("id", "char(36)"),
        doctor=[NO_FOREIGN_KEY],
        rows=TRIMMED,
        **text_keys(),
    ),
    SetUp("AegisSpeed IDs that are CHAR", user_column("aegisspeed_id", "char(12)")),
    SetUp(
        "integers as ID numbers",
        user_column("id_number", "bigint"),
        check="failed failed",
        lists="failed failed",
        imported="10000 10004 10000",
        joined="10000 10004 10000",
        **refused("the ID number of a user is no text"),
        doctor=["A user cannot be used: the ID number of a user is no text"],
    ),
]

# psycopg sends the types of the model; psycopg2 sends text without a type, which PostgreSQL converts.
TYPES = "differs between the model and the live table"
TYPED = [
    SetUp(
        "text over integers as owners",
        column("user_id", "integer"),
        lists="failed failed",
        doctor=[NO_FOREIGN_KEY],
        **text_keys(keys=("1", "2"), **refused(TYPES)),
    ),
    SetUp(
        "text over UUIDs as owners",
        column("user_id", "uuid"),
        lists="failed failed",
        doctor=[NO_FOREIGN_KEY],
        **text_keys(keys=UUIDS, **refused(TYPES)),
    ),
    SetUp(
        "text over UUIDs as identities",
        user_column("id", "uuid"),
        check="failed failed",
        lists="failed failed",
        imported="10000 10004 10000",
        joined="10000 10004 10000",
        doctor=[NO_FOREIGN_KEY, TYPES],
        **text_keys(keys=UUIDS, register=FAILS, log=TYPES),
    ),
]
UNTYPED = [
    SetUp(
        "text over integers as owners",
        column("user_id", "integer"),
        doctor=[NO_FOREIGN_KEY],
        **text_keys(keys=("1", "2")),
    ),
    SetUp(
        "text over integers as owners, with zeros",
        column("user_id", "integer"),
        doctor=[NO_FOREIGN_KEY],
        **text_keys(keys=("01", "02"), **refused(CHANGED)),
    ),
    SetUp(
        "text over UUIDs as owners",
        column("user_id", "uuid"),
        doctor=[NO_FOREIGN_KEY],
        **text_keys(keys=UUIDS),
    ),
    SetUp(
        "text over UUIDs as identities",
        user_column("id", "uuid"),
        doctor=[NO_FOREIGN_KEY],
        **text_keys(keys=UUIDS),
    ),
]


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression")
@pytest.mark.filterwarnings("ignore:Did not recognize type")
@pytest.mark.parametrize(
    ("set_up", "database"),
    [
        pytest.param(set_up, *driver.values, marks=driver.marks, id=f"{driver.values[0]}-{set_up}")
        for driver, own in zip(mark_slow(["psycopg", "psycopg2"]), (TYPED, UNTYPED), strict=True)
        for set_up in (*COLUMNS, *own)
    ],
    indirect=["database"],
)
def test_a_set_up_is_right_or_refused(
    set_up: SetUp, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody gets 10000 without the row, or for another's code; what cannot work says what to do."""
    run(set_up, database, caplog)
