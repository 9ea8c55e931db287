"""A connection for one try, and how it is given back."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session, sessionmaker

from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore
from flask_aegis_machines.stores.sqlalchemy._unit_of_work import UnitOfWork, begin
from tests.support.engines import on
from tests.support.models import Machine


class Stubborn:
    """A transaction that cannot be rolled back."""

    is_active = True

    def rollback(self) -> None:
        """Fail."""
        raise LookupError("beyond repair")


@on("sqlite")
def test_an_interrupt_at_the_release_costs_no_slot(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is thrown away, and the worker ends as it was asked to."""
    unit = UnitOfWork(engine, begin)
    assert unit.connection
    real = Connection.close
    calls: list[object] = []

    def close(self: Connection) -> None:
        calls.append(self)
        if len(calls) == 1:
            raise KeyboardInterrupt
        real(self)

    monkeypatch.setattr(Connection, "close", close)
    with pytest.raises(KeyboardInterrupt):
        unit.close()
    assert len(calls) == 2


@on("sqlite")
def test_a_connection_of_the_host_is_not_thrown_away(engine: Engine) -> None:
    """What cannot be rolled back there is the host's to deal with."""
    with engine.connect() as connection:
        stubborn: Any = Stubborn()
        unit = UnitOfWork(connection, lambda connection: stubborn)
        assert unit.connection is connection
        with pytest.raises(LookupError):
            unit.rollback()
        assert not connection.invalidated


@on("sqlite")
def test_doctor_works_on_a_connection_of_the_host(engine: Engine) -> None:
    """A test suite that rolls everything back may run the command."""
    with engine.connect() as connection, connection.begin():
        assert SQLAlchemyMachineStore(lambda: Session(connection), Machine).problems() == []
    assert SQLAlchemyMachineStore(sessionmaker(engine), Machine).problems() == []
