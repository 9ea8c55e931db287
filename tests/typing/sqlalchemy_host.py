"""Hosts without Flask-SQLAlchemy: annotated models, and each kind of session that they have."""

from __future__ import annotations

from flask_sqlalchemy_lite import SQLAlchemy
from sqlalchemy import ForeignKey, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

from flask_aegis_machines import bearer, ending_session, jwt_identity
from flask_aegis_machines.stores.sqlalchemy import (
    AccountMixin,
    MachineMixin,
    SQLAlchemyMachineStore,
    SQLAlchemyUserStore,
)


class Base(DeclarativeBase):
    pass


class Account(AccountMixin, Base):
    __tablename__ = "account"
    user_id: Mapped[int] = mapped_column(primary_key=True)


class Machine(MachineMixin, Base):
    __tablename__ = "machine"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("account.user_id"), index=True)


db = SQLAlchemy()
make_session = sessionmaker(create_engine("sqlite://"))
one_session = make_session()


def session_of_the_request() -> Session:
    return db.session


machines = [
    SQLAlchemyMachineStore(make_session, Machine),
    SQLAlchemyMachineStore(scoped_session(make_session), Machine, deadline=2),
    SQLAlchemyMachineStore(lambda: db.session, Machine, transaction="host"),
    SQLAlchemyMachineStore(session_of_the_request, Machine),
    SQLAlchemyMachineStore(lambda: one_session, Machine),
]
users = SQLAlchemyUserStore(
    make_session, Account, identity="user_id", aegisspeed_id="aegisspeed_id", id_number="id_number"
)

authenticates = [
    ending_session(jwt_identity, scoped_session(make_session)),
    ending_session(bearer(str.strip), lambda: db.session),
    ending_session(jwt_identity, session_of_the_request),
]

SQLAlchemyMachineStore(one_session, Machine)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
SQLAlchemyMachineStore(make_session, Machine, transaction="theirs")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
