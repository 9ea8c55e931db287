"""A database with the tables of a host and its two users, empty of machines for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session, sessionmaker

from .models import FIRST, SECOND, Account, Base


@pytest.fixture(params=["sqlite", "sqlite-wal"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An engine on each kind of database."""
    engine = create_engine(f"sqlite:///{tmp_path / 'host.db'}")
    if request.param == "sqlite-wal":
        event.listen(
            engine, "connect", lambda connection, record: connection.execute("PRAGMA journal_mode=WAL")
        )
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        for user in (FIRST, SECOND):
            session.add(Account(id=user.key, aegisspeed_id=user.aegisspeed_id, id_number=user.id_number))
        session.commit()
    yield engine
    engine.dispose()


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    """What a host hands to the stores."""
    return sessionmaker(engine)
