"""What is decided about a model when the store is made."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Integer, String, TypeDecorator
from sqlalchemy.engine import Engine
from sqlalchemy.orm import declarative_base, sessionmaker

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
