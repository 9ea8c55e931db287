"""Engines of their own in autocommit: a binding is durable, and no round trip is for nothing."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.orm import sessionmaker

from flask_aegis_machines import MachineCodeTaken
from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore
from flask_aegis_machines.testing import make_machine
from tests.support.engines import on, stored
from tests.support.hosts import FIRST, SECOND
from tests.support.models import Machine

pytestmark = pytest.mark.skipif(
    not hasattr(DefaultDialect, "detect_autocommit_setting"),
    reason="SQLAlchemy has skip_autocommit_rollback from 2.0.43 on",
)


def bind(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Bind a code that is free and one that is taken; return the COMMITs and ROLLBACKs sent for that."""
    store = SQLAlchemyMachineStore(sessionmaker(engine), Machine)
    store.bind(make_machine("0" * 31 + "x"), SECOND)
    sent: list[str] = []
    dialect: Any = engine.dialect
    for name in ("commit", "rollback"):
        driver_method = getattr(dialect.loaded_dbapi.connections.Connection, name)

        def note(connection: Any, name: str = name, driver_method: Any = driver_method) -> None:
            sent.append(name)
            driver_method(connection)

        monkeypatch.setattr(dialect.loaded_dbapi.connections.Connection, name, note)
    store.bind(make_machine(), FIRST)
    with pytest.raises(MachineCodeTaken):
        store.bind(make_machine(), SECOND)
    engine.dispose()
    return sent


@on("mariadb-pymysql")
def test_autocommit_sends_neither_commit_nor_rollback(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyMySQL sends both whatever the server does, so the stores and the engine leave them out."""
    automatic = create_engine(engine.url, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True)
    assert bind(automatic, monkeypatch) == []
    assert (make_machine().machine_code, FIRST.key) in stored(engine)


@on("mariadb-pymysql")
def test_a_transaction_opened_in_autocommit_is_committed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some hosts begin a transaction in an event, and the server reports that it is open."""
    automatic = create_engine(engine.url, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True)

    @event.listens_for(automatic, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    assert bind(automatic, monkeypatch).count("commit") == 1
    assert (make_machine().machine_code, FIRST.key) in stored(engine)


@on("mariadb-pymysql")
def test_transactions_are_committed_whatever_the_engine_skips(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The option of the engine is about autocommit, and this engine is not in it."""
    ordinary = create_engine(engine.url, skip_autocommit_rollback=True)
    assert bind(ordinary, monkeypatch).count("commit") == 1
    assert (make_machine().machine_code, FIRST.key) in stored(engine)
