"""Set-ups that a host's models and engine bring, and that mount accepts."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import (
    CHAR,
    Boolean,
    Column,
    FetchedValue,
    ForeignKey,
    Index,
    Integer,
    String,
    create_engine,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import declarative_base

from flask_aegis_machines.stores.sqlalchemy import AccountMixin, MachineMixin
from tests.support.column_types import LowerBySQL, LowerOnSQLite, Random, Reversed, UpperWhenRead
from tests.support.live_databases import Database
from tests.support.setup_runs import run
from tests.support.setup_texts import CHANGED, FAILS
from tests.support.setups import SetUp, code_column, machine_table, make_models, serial_number_column


def single_table() -> tuple[Any, Any]:
    """Make machines that are one kind of device in one table."""
    base: Any = declarative_base()

    class Device(base):
        __tablename__ = "machine"
        id = Column(Integer, primary_key=True)
        kind = Column(String(20), nullable=False)
        __mapper_args__ = {"polymorphic_on": kind}  # noqa: RUF012

    class Machine(MachineMixin, Device):
        user_id = Column(ForeignKey("account.id"))
        __mapper_args__ = {"polymorphic_identity": "machine"}  # noqa: RUF012

    Index("machine_page", Machine.user_id, Machine.registered_at, Machine.machine_code)

    class Account(AccountMixin, base):
        __tablename__ = "account"
        id = Column(Integer, primary_key=True, autoincrement=False)

    return Account, Machine


def reflected() -> tuple[Any, Any]:
    """Make machines on a table whose columns and keys are read from a database."""
    _, machine = make_models(SetUp("the usual tables"))
    engine = create_engine("sqlite://")
    machine.metadata.create_all(engine)
    base: Any = declarative_base()
    base.metadata.reflect(engine)
    engine.dispose()
    tables = base.metadata.tables
    return tuple(  # type: ignore[return-value]
        type(name, (base,), {"__table__": tables[name]}) for name in ("account", "machine")
    )


def hybrid() -> dict[str, Any]:
    """Make a model with an attribute that is no column."""
    return {"label": hybrid_property(lambda self: self.machine_code)}


GOOD = [
    SetUp(
        "encrypted facts",
        machine=lambda: {"windows_uuid": Column(Random()), "machine_cpu": Column(Reversed())},
    ),
    SetUp("a code of exactly 32 characters", machine=code_column(CHAR(32))),
    SetUp("a code encrypted alike", machine=code_column(Reversed()), decode=lambda stored: stored[:9:-1]),
    SetUp("one kind in a table of devices", models=single_table),
    SetUp("a reflected table", models=reflected, doctor=["SQLite gives the id"]),
    SetUp("a hybrid attribute", machine=hybrid),
    SetUp(
        "soft deletes",
        machine=lambda: {
            "is_deleted": Column(Boolean, default=False),
            "__table_args__": (
                Index("soft", "machine_code", unique=True, sqlite_where=Column("is_deleted") == 0),
                Index("machine_page", "user_id", "registered_at", "machine_code"),
            ),
        },
    ),
    SetUp("a NOT NULL column with a default", machine=serial_number_column(default=lambda: "serial")),
    SetUp(
        "a NOT NULL column with a default of the table", machine=serial_number_column(server_default="serial")
    ),
    SetUp(
        "a NOT NULL column that the database fills",
        machine_table("serial_number VARCHAR(20) NOT NULL DEFAULT 'serial'"),
        machine=serial_number_column(FetchedValue()),
    ),
    SetUp(
        "a NOT NULL column that values= fills",
        machine=serial_number_column(),
        store={"values": lambda machine, user: {"serial_number": "serial"}},
    ),
    SetUp(
        "within= that adds a row",
        store={"within": lambda connection, machine, user: connection.exec_driver_sql("SELECT 1")},
    ),
]

FAILING = [
    SetUp(
        "a NOT NULL column of the live table",
        machine_table("serial_number VARCHAR(20) NOT NULL"),
        register=FAILS,
        log="NOT NULL constraint failed: machine.serial_number",
        trial="NOT NULL constraint failed: machine.serial_number",
    ),
    SetUp(
        "a NOT NULL column that skips rows",
        machine_table("serial_number VARCHAR(20) NOT NULL ON CONFLICT IGNORE"),
        register=FAILS,
        log="NOT NULL constraint failed: machine.serial_number",
        trial="NOT NULL constraint failed: machine.serial_number",
    ),
    SetUp(
        "a NOT NULL column that values= does not fill",
        machine=serial_number_column(),
        store={"values": lambda machine, user: {}},
        register=FAILS,
        log="NOT NULL constraint failed: machine.serial_number",
        trial="NOT NULL constraint failed: machine.serial_number",
    ),
    *(
        SetUp(
            f"a code in lower case by {kind.__name__}",
            machine=code_column(kind()),
            register="10000 10004 10005",
            log="stored no row",
        )
        for kind in (LowerOnSQLite, LowerBySQL)
    ),
    SetUp(
        "a code in upper case when it is read",
        machine=code_column(UpperWhenRead()),
        register="10005 10005 10000",
        log=CHANGED,
        trial="does not show the row",
    ),
]


@pytest.mark.parametrize("set_up", [*GOOD, *FAILING], ids=str)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_model_is_right_or_refused(
    set_up: SetUp, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Mount refuses no good host; what else can be wrong is answered with 10005."""
    run(set_up, database, caplog)
