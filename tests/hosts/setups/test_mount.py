"""Set-ups that mount refuses, since they can never work."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import (
    CHAR,
    Column,
    Enum,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    UniqueConstraint,
    func,
)
from sqlalchemy.orm import declarative_base
from sqlalchemy.pool import SingletonThreadPool, StaticPool

from flask_aegis_machines.stores.sqlalchemy import AccountMixin, MachineMixin
from tests.support.column_types import Lower, Random
from tests.support.live_databases import Database
from tests.support.setup_runs import run
from tests.support.setups import SetUp, code_column, serial_number_column

NOT_ALIKE = "has a type that stores equal values differently, or different ones alike"
DEFERRABLE = "is deferrable"
NO_KEY = "makes machine_code unique"
ON_CONFLICT = "has sqlite_on_conflict"
NOT_TEXT = "must hold text"
UNFILLED = "Nothing fills the NOT NULL columns serial_number"


def table_args(*keys: Any) -> Any:
    """Return what makes a model whose only keys on the code are these."""
    return lambda: {
        "machine_code": Column(String(32), nullable=False),
        "__table_args__": tuple(make() for make in keys),
    }


def joined_tables() -> tuple[Any, Any]:
    """Make machines of which a part is in the table of devices."""
    base: Any = declarative_base()

    class Device(base):
        __tablename__ = "device"
        id = Column(Integer, primary_key=True)

    class Machine(MachineMixin, Device):
        __tablename__ = "machine"
        id = Column(ForeignKey("device.id"), primary_key=True)
        user_id = Column(Integer)

    class Account(AccountMixin, base):
        __tablename__ = "account"
        id = Column(Integer, primary_key=True)

    return Account, Machine


REFUSED = [
    SetUp("no key in the model", machine=code_column(String(32), unique=False), mount=NO_KEY),
    SetUp(
        "a deferrable key",
        machine=table_args(lambda: UniqueConstraint("machine_code", deferrable=True)),
        mount=DEFERRABLE,
    ),
    SetUp(
        "a key that is deferred",
        machine=table_args(lambda: UniqueConstraint("machine_code", initially="DEFERRED")),
        mount=DEFERRABLE,
    ),
    SetUp(
        "a deferrable key beside an ordinary one",
        machine=lambda: {"__table_args__": (UniqueConstraint("machine_code", deferrable=True),)},
        mount=DEFERRABLE,
    ),
    *(
        SetUp(
            f"a partial key for {name}",
            machine=table_args(
                lambda option=f"{name}_where": Index("k", "machine_code", unique=True, **{option: func.now()})
            ),
            mount=NO_KEY,
        )
        for name in ("sqlite", "postgresql")
    ),
    SetUp(
        "a key on a prefix",
        machine=table_args(lambda: Index("k", "machine_code", unique=True, mysql_length=10)),
        mount=NO_KEY,
    ),
    SetUp(
        "a key with the owner",
        machine=table_args(lambda: UniqueConstraint("machine_code", "user_id")),
        mount=NO_KEY,
    ),
    SetUp(
        "ON CONFLICT on the code",
        machine=code_column(String(32), sqlite_on_conflict_unique="REPLACE"),
        mount=ON_CONFLICT,
    ),
    SetUp(
        "ON CONFLICT on another column",
        machine=serial_number_column(unique=True, default="x", sqlite_on_conflict_not_null="IGNORE"),
        mount=ON_CONFLICT,
    ),
    SetUp(
        "ON CONFLICT on another key",
        machine=lambda: {"__table_args__": (UniqueConstraint("windows_uuid", sqlite_on_conflict="REPLACE"),)},
        mount=ON_CONFLICT,
    ),
    SetUp("a NOT NULL column that nothing fills", machine=serial_number_column(), mount=UNFILLED),
    SetUp("machines in two tables", models=joined_tables, mount="must be in one table"),
    SetUp("an integer as code", machine=code_column(Integer), mount=NOT_TEXT),
    SetUp("bytes as code", machine=code_column(LargeBinary(32)), mount=NOT_TEXT),
    SetUp("an enumeration as code", machine=code_column(Enum("a", "b")), mount=NOT_TEXT),
    SetUp("a code that is too short", machine=code_column(String(16)), mount="must hold 32 characters"),
    SetUp("a code with blanks", machine=code_column(CHAR(40)), mount="must hold 32 characters"),
    SetUp("an integer as attempt", machine=lambda: {"attempt": Column(Integer)}, mount=NOT_TEXT),
    SetUp("a code encrypted with a salt", machine=code_column(Random()), mount=NOT_ALIKE),
    SetUp("a code in lower case", machine=code_column(Lower()), mount=NOT_ALIKE),
    SetUp("an attempt in lower case", machine=lambda: {"attempt": Column(Lower())}, mount=NOT_ALIKE),
    SetUp(
        "an integer as AegisSpeed ID", user=lambda: {"aegisspeed_id": Column(Integer)}, mount="must hold text"
    ),
    SetUp("an integer as ID number", user=lambda: {"id_number": Column(Integer)}, mount="must hold text"),
    SetUp("one connection for all", options={"poolclass": StaticPool}, mount="poolclass=QueuePool"),
    SetUp("one connection a thread", options={"poolclass": SingletonThreadPool}, mount="poolclass=QueuePool"),
]


@pytest.mark.parametrize("set_up", REFUSED, ids=str)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_mount_refuses_a_set_up_that_cannot_work(
    set_up: SetUp, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """The text of the ConfigurationError says what to do."""
    run(set_up, database, caplog)
