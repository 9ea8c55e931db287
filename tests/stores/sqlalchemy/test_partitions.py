"""A table of machines in hash partitions, as PostgreSQL has them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Column, Integer, func, select, text
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session, declarative_base, sessionmaker

from flask_aegis_machines import User
from flask_aegis_machines.stores.sqlalchemy import MachineMixin, SQLAlchemyMachineStore
from flask_aegis_machines.testing import MachineStoreContract, make_machine
from tests.support.engines import POSTGRES, on
from tests.support.hosts import FIRST, SECOND

Base: Any = declarative_base()


class Machine(MachineMixin, Base):
    """A machine, in the partition that the hash of its code chooses."""

    __tablename__ = "partitioned"
    __table_args__ = {"postgresql_partition_by": "HASH (machine_code)"}  # noqa: RUF012
    machine_code = Column(MachineMixin.machine_code.type, primary_key=True)
    user_id = Column(Integer, nullable=False)


@on(POSTGRES)
class TestPartitions(MachineStoreContract):
    """A unique key on only the code is one that partitions by the code can enforce."""

    @pytest.fixture
    def store(self, engine: Engine) -> SQLAlchemyMachineStore:
        Base.metadata.create_all(engine)
        with engine.begin() as connection:
            for number in range(4):
                part = f"CREATE TABLE part_{number} PARTITION OF partitioned FOR VALUES"
                connection.execute(text(f"{part} WITH (MODULUS 4, REMAINDER {number})"))
        return SQLAlchemyMachineStore(sessionmaker(engine), Machine)

    @pytest.fixture
    def owners(self) -> tuple[User, User]:
        return FIRST, SECOND

    def test_every_partition_has_its_share(self, store: SQLAlchemyMachineStore, engine: Engine) -> None:
        """Machines are spread, and found wherever they are."""
        for number in range(40):
            store.bind(make_machine(f"{number:032}" if number else "z" * 31 + "0"), FIRST)
        with Session(engine) as session:
            counted = [
                session.execute(select(func.count()).select_from(text(f"part_{number}"))).scalar()
                for number in range(4)
            ]
        assert sum(counted) == 40
        assert min(counted) > 0
        assert len(store.list_for(FIRST)) == 40
