"""A database for each test, with the tables of a host and its two users."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session, sessionmaker

from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore
from tests.support.engines import DRIVERS, ENGINES
from tests.support.hosts import FIRST, SECOND
from tests.support.live_databases import mark_slow
from tests.support.models import Account, Base, Machine


@pytest.fixture(params=mark_slow(DRIVERS))
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine on each driver's database, unless a test names its own with ``on()``."""
    engine = ENGINES[request.param](request)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        for user in (FIRST, SECOND):
            session.add(Account(id=user.key, aegisspeed_id=user.aegisspeed_id, id_number=user.id_number))
        session.commit()
    yield engine
    assert engine.pool.checkedout() == 0, "a failure has cost a slot of the pool"  # type: ignore[attr-defined]
    engine.dispose()


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    """What a host hands to the stores."""
    return sessionmaker(engine)


@pytest.fixture
def store(sessions: sessionmaker[Session]) -> SQLAlchemyMachineStore:
    """The store of the host. A loaded machine has time for each retry."""
    return SQLAlchemyMachineStore(sessions, Machine, deadline=15)
