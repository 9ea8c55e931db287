"""Identities of every kind, from the host's function to the user's row."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from flask import Flask
from sqlalchemy import Column, ForeignKey, create_engine, select
from sqlalchemy.orm import Session, declarative_base, sessionmaker

from flask_aegis_machines import User, create_blueprint
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore
from flask_aegis_machines.stores.sqlalchemy import (
    AccountMixin,
    MachineMixin,
    SQLAlchemyMachineStore,
    SQLAlchemyUserStore,
)
from tests.support.tokens import ask

UUID = uuid.UUID("0f0e0d0c-0b0a-4908-8706-050403020100")
NEEDS_UUIDS = pytest.mark.skipif(not hasattr(sqlalchemy, "Uuid"), reason="needs the type Uuid: SQLAlchemy 2")

KINDS = pytest.mark.parametrize(
    ("identity", "key", "kind"),
    [
        (7, 7, "Integer"),
        ("7", 7, "Integer"),
        (0, 0, "Integer"),
        (2**40, 2**40, "BigInteger"),
        ("Ada Lovelace", "Ada Lovelace", "String"),
        ("阿达", "阿达", "String"),
        ("7", "7", "String"),
        (7, "7", "String"),
        (UUID, str(UUID), "String"),
        pytest.param(UUID, UUID, "Uuid", marks=NEEDS_UUIDS),
        pytest.param(str(UUID), UUID, "Uuid", marks=NEEDS_UUIDS),
    ],
)


class Asked(MemoryUserStore):
    """Keeps what it was asked for."""

    def get(self, identity: str) -> User | None:
        self.identity = identity
        return super().get(identity)


@KINDS
def test_users_in_memory(identity: object, key: object, kind: str) -> None:
    """Whatever a host names its users by reaches the store as text, and leads to the user."""
    users = Asked([User(key, "ASD000001", "110101199003071234")])
    app = Flask("host")
    app.register_blueprint(
        create_blueprint(users=users, machines=MemoryMachineStore(), authenticate=lambda: identity)
    )
    assert ask(app.test_client()) == "10000"
    assert (type(users.identity), users.identity) == (str, str(identity))


@KINDS
def test_users_in_a_table(identity: object, key: object, kind: str, tmp_path: Path) -> None:
    """The text leads to the row whose key, of the column's type, becomes the machine's owner."""
    base: Any = declarative_base()

    class Account(AccountMixin, base):
        __tablename__ = "account"
        id = Column(getattr(sqlalchemy, kind)(), primary_key=True)

    class Machine(MachineMixin, base):
        __tablename__ = "machine"
        id = Column(sqlalchemy.Integer, primary_key=True)
        user_id = Column(ForeignKey("account.id"), nullable=False)

    engine = create_engine(f"sqlite:///{tmp_path / 'host.db'}")
    base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Account(id=key, aegisspeed_id="ASD000001", id_number="110101199003071234"))
        session.commit()
    sessions = sessionmaker(engine)
    users = SQLAlchemyUserStore(
        sessions, Account, identity="id", aegisspeed_id="aegisspeed_id", id_number="id_number"
    )
    machines = SQLAlchemyMachineStore(sessions, Machine)
    app = Flask("host")
    app.register_blueprint(create_blueprint(users=users, machines=machines, authenticate=lambda: identity))
    assert ask(app.test_client()) == "10000"
    with Session(engine) as session:
        assert list(session.execute(select(Machine.user_id)).scalars()) == [key]
    engine.dispose()
