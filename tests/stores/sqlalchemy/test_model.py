"""What is decided about a model when the store is made."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Column, DateTime, ForeignKey, Integer, String, TypeDecorator, text
from sqlalchemy.engine import Engine
from sqlalchemy.orm import declarative_base, sessionmaker

from flask_aegis_machines import StoreFailure
from flask_aegis_machines.stores.sqlalchemy import MachineMixin, SQLAlchemyMachineStore
from flask_aegis_machines.testing import make_machine

from .conftest import on
from .models import FIRST


class OfDialect(TypeDecorator[str]):
    """Text whose conversion needs a real dialect."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        if dialect.name == "default":
            raise NotImplementedError
        return value

    def process_result_value(self, value: str | None, dialect: Any) -> str | None:
        return value


@on("sqlite")
def test_a_type_that_needs_a_real_dialect_is_accepted(engine: Engine) -> None:
    """What it does is seen when the row is read back."""
    base: Any = declarative_base()

    class Device(MachineMixin, base):
        __tablename__ = "device"
        id = Column(Integer, primary_key=True)
        machine_code = Column(OfDialect, unique=True, nullable=False)
        user_id = Column(Integer)

    base.metadata.create_all(engine)
    store = SQLAlchemyMachineStore(sessionmaker(engine), Device)
    store.bind(make_machine(), FIRST)
    assert len(store.list_for(FIRST)) == 1


def test_the_model_of_users_may_be_imported_later() -> None:
    """A store is often made where only the model of machines is known."""
    base: Any = declarative_base()

    class Device(MachineMixin, base):
        __tablename__ = "device"
        id = Column(Integer, primary_key=True)
        user_id = Column(ForeignKey("person.id"))

    assert SQLAlchemyMachineStore(sessionmaker(), Device).joins_host_transaction is False


@on("sqlite")
class TestNull:
    """Rows that were there before the model was, with NULL in columns that were added later."""

    @pytest.fixture
    def store(self, engine: Engine) -> SQLAlchemyMachineStore:
        """A store on a table whose columns may be NULL."""
        base: Any = declarative_base()

        class Device(MachineMixin, base):
            __tablename__ = "device"
            id = Column(Integer, primary_key=True)
            user_id = Column(Integer)
            machine_cpu = Column(String(255))
            registered_at = Column(DateTime)

        base.metadata.create_all(engine)
        store = SQLAlchemyMachineStore(sessionmaker(engine), Device, deadline=0)
        store.bind(make_machine(), FIRST)
        return store

    def test_a_fact_is_empty(self, store: SQLAlchemyMachineStore, engine: Engine) -> None:
        """The list has texts only."""
        with engine.begin() as connection:
            connection.execute(text("UPDATE device SET machine_cpu = NULL"))
        assert store.list_for(FIRST)[0].machine_cpu == ""

    def test_a_timestamp_is_a_failure(self, store: SQLAlchemyMachineStore, engine: Engine) -> None:
        """The message says what to do."""
        with engine.begin() as connection:
            connection.execute(text("UPDATE device SET registered_at = NULL"))
        with pytest.raises(StoreFailure, match=r"has no registered_at \(NULL\): fill the column"):
            store.list_for(FIRST)
