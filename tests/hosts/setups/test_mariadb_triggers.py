"""Set-ups of hosts on MariaDB: triggers, rights, storage engines and temporary tables."""

from __future__ import annotations

import pytest

from tests.support.live_databases import Database, mark_slow
from tests.support.setup_runs import run
from tests.support.setup_texts import (
    CHANGED,
    FAILS,
    NO_FOREIGN_KEY,
    OTHER_KEY,
    TRIGGERS,
    refused,
)
from tests.support.setups import WITHOUT_KEYS_TO_USERS, SetUp, on_connect

REWRITTEN = {"register": FAILS, "log": CHANGED, "doctor": [TRIGGERS], "trial": "does not show the row"}


def trigger(when: str, action: str) -> tuple[str, ...]:
    """Return statements that make a trigger for each row."""
    return (f"CREATE TRIGGER special {when} INSERT ON machine FOR EACH ROW {action}",)


def role(*statements: str, rights: str = "SELECT, INSERT, UPDATE") -> tuple[str, ...]:
    """Return statements that make the account of the host."""
    return (
        "CREATE USER {role}@'127.0.0.1'",
        f"GRANT {rights} ON machine TO {{role}}@'127.0.0.1'",
        "GRANT SELECT ON account TO {role}@'127.0.0.1'",
        *statements,
    )


TRIGGERED = [
    *(
        SetUp(
            f"a trigger that rewrites the {name}", trigger("BEFORE", f"SET NEW.{name} = {value}"), **REWRITTEN
        )
        for name, value in (
            ("machine_code", "concat('x', substr(NEW.machine_code, 2))"),
            ("user_id", "3 - NEW.user_id"),
            ("attempt", "md5(rand())"),
        )
    ),
    SetUp(
        "a trigger that folds case",
        trigger("BEFORE", "SET NEW.machine_code = lower(NEW.machine_code)"),
        register="10000 10004 10005",
        log=OTHER_KEY,
        doctor=[TRIGGERS],
    ),
    SetUp(
        "a trigger that fails as a duplicate",
        trigger("BEFORE", "SIGNAL SQLSTATE '23000' SET MYSQL_ERRNO = 1062"),
        doctor=[TRIGGERS],
        **refused(OTHER_KEY),
    ),
    SetUp(
        "a trigger that deletes the row",
        trigger("AFTER", "DELETE FROM machine WHERE id = NEW.id"),
        doctor=[TRIGGERS],
        **refused("1442"),
    ),
    SetUp(
        "a trigger that writes an audit row",
        ("CREATE TABLE audit (code TEXT)", *trigger("AFTER", "INSERT INTO audit VALUES (NEW.machine_code)")),
        doctor=[TRIGGERS],
    ),
    SetUp(
        "a trigger in autocommit",
        trigger("BEFORE", "SET NEW.machine_code = lower(NEW.machine_code)"),
        options={"isolation_level": "AUTOCOMMIT"},
        register=FAILS,
        log="autocommit",
        doctor=[TRIGGERS],
        trial="autocommit",
    ),
    SetUp(
        "a trigger that the role has no right on",
        (*trigger("BEFORE", "SET NEW.attempt = md5(rand())"), *role()),
        is_role=True,
        **REWRITTEN,
    ),
    SetUp("a role that may not update", role(rights="SELECT, INSERT"), is_role=True),
    SetUp("autocommit", options={"isolation_level": "AUTOCOMMIT"}, joined=FAILS, trial="autocommit"),
]


STORAGE = [
    *(
        SetUp(
            f"the engine {engine}",
            (*WITHOUT_KEYS_TO_USERS, f"ALTER TABLE machine ENGINE = {engine}"),
            doctor=[NO_FOREIGN_KEY, f"is kept by {engine}"],
            trial="table has no transactions",
        )
        for engine in ("MyISAM", "Aria", "MEMORY")
    ),
    SetUp(
        "the engine BLACKHOLE",
        (
            "INSTALL PLUGIN IF NOT EXISTS BLACKHOLE SONAME 'ha_blackhole'",
            *WITHOUT_KEYS_TO_USERS,
            "ALTER TABLE machine ENGINE = BLACKHOLE",
        ),
        **{
            **REWRITTEN,
            "doctor": [NO_FOREIGN_KEY, "is kept by BLACKHOLE"],
            "trial": "no transactions",
        },
    ),
    SetUp(
        "a trigger on an engine that cannot undo",
        (
            *WITHOUT_KEYS_TO_USERS,
            "ALTER TABLE machine ENGINE = MyISAM",
            *trigger("BEFORE", "SET NEW.attempt = md5(rand())"),
        ),
        doctor=[NO_FOREIGN_KEY, "is kept by MyISAM", TRIGGERS],
        **{**refused("without transactions"), "trial": "no transactions"},
    ),
    SetUp(
        "within= on an engine that cannot undo",
        (*WITHOUT_KEYS_TO_USERS, "ALTER TABLE machine ENGINE = MyISAM"),
        store={"within": lambda connection, machine, user: None},
        doctor=[NO_FOREIGN_KEY, "is kept by MyISAM"],
        **{**refused("without transactions"), "trial": "no transactions"},
    ),
    SetUp(
        "a temporary table in the way",
        ("CREATE TABLE template LIKE machine",),
        engine=on_connect("CREATE TEMPORARY TABLE machine LIKE template"),
        doctor=[NO_FOREIGN_KEY, "A temporary table hides machine"],
        is_beyond=True,
    ),
]


@pytest.mark.filterwarnings("ignore:Unknown schema content")
@pytest.mark.parametrize("set_up", [*TRIGGERED, *STORAGE], ids=str)
@pytest.mark.parametrize("database", mark_slow(["pymysql", "mysqldb"]), indirect=True)
def test_a_set_up_is_right_or_refused(
    set_up: SetUp, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody gets 10000 without the row, or for another's code; what cannot work says what to do."""
    run(set_up, database, caplog)
