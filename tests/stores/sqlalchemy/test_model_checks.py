"""Which models of hosts the machine store accepts, and how it uses them."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import (
    CHAR,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    String,
    TypeDecorator,
    UniqueConstraint,
    select,
    text,
)
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session, column_property, declarative_base, sessionmaker

from flask_aegis_machines import ConfigurationError, MachineCodeTaken, StoreFailure
from flask_aegis_machines._records import MACHINE_FIELDS
from flask_aegis_machines.stores.sqlalchemy import (
    AccountMixin,
    MachineMixin,
    SQLAlchemyMachineStore,
    SQLAlchemyUserStore,
)
from flask_aegis_machines.testing import make_machine
from tests.support.engines import POSTGRESQL, on
from tests.support.hosts import FIRST, SECOND
from tests.support.models import Machine

needs_uuid = pytest.mark.skipif(not hasattr(sqlalchemy, "Uuid"), reason="from SQLAlchemy 2 on")

CODE = make_machine().machine_code


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


@on("sqlite", *POSTGRESQL)
@pytest.mark.parametrize("name", ["CHAR", pytest.param("Uuid", marks=needs_uuid)])
def test_a_key_has_the_type_of_users_that_are_imported_later(engine: Engine, name: str) -> None:
    """Both stores compare it as the users' own model has it, padding and all."""
    base: Any = declarative_base()

    class Profile(AccountMixin, base):
        __tablename__ = "profile"
        user_id = Column(ForeignKey("person.id"), primary_key=True)

    class Device(MachineMixin, base):
        __tablename__ = "device"
        id = Column(Integer, primary_key=True)
        user_id = Column(ForeignKey("person.id"))

    machines = SQLAlchemyMachineStore(sessionmaker(engine), Device)
    users = SQLAlchemyUserStore(
        sessionmaker(engine),
        Profile,
        identity="user_id",
        aegisspeed_id="aegisspeed_id",
        id_number="id_number",
    )

    class Person(base):
        __tablename__ = "person"
        id = Column(CHAR(36) if name == "CHAR" else sqlalchemy.Uuid(), primary_key=True)

    base.metadata.create_all(engine)
    key: Any = "short" if name == "CHAR" else uuid.uuid4()
    with Session(engine) as session:
        session.add(Person(id=key))
        session.flush()
        session.add(Profile(user_id=key, aegisspeed_id="ASD000001", id_number="1"))
        session.commit()
    user = users.get(str(key))
    assert user is not None
    assert users.get_by_key(user.key) == user
    machines.bind(make_machine(), user)
    owner = machines.owner_of(make_machine().machine_code)
    assert owner is not None
    assert owner.is_user(user)
    assert len(machines.list_for(user)) == 1
    assert machines.list_for(user, after=make_machine().machine_code) == []


def test_a_date_keeps_no_time() -> None:
    """A registration would succeed, and each list of its owner fail."""
    base: Any = declarative_base()

    class Device(MachineMixin, base):
        __tablename__ = "device"
        id = Column(Integer, primary_key=True)
        user_id = Column(Integer)
        registered_at = Column(Date)

    with pytest.raises(ConfigurationError, match="registered_at of table device must hold a date and a time"):
        SQLAlchemyMachineStore(sessionmaker(), Device)


def test_an_expression_identifies_nobody() -> None:
    """No key makes it unique."""
    base: Any = declarative_base()

    class Person(AccountMixin, base):
        __tablename__ = "person"
        id = Column(Integer, primary_key=True)
        number = Column(String(6))
        name = column_property("x" + number)

    with pytest.raises(ConfigurationError, match="has no column attribute name"):
        SQLAlchemyUserStore(
            sessionmaker(), Person, identity="name", aegisspeed_id="aegisspeed_id", id_number="id_number"
        )


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


class TestModels:
    """Models of hosts, accepted and refused."""

    def test_columns_may_have_other_names(self, engine: Engine) -> None:
        """Attributes are what counts; the names and keys of the columns are the host's."""
        base: Any = declarative_base()

        class Renamed(MachineMixin, base):
            __tablename__ = "renamed"
            id = Column(Integer, primary_key=True)
            machine_code = Column("mc", String(32), unique=True, nullable=False)
            user_id = Column("owner", Integer, key="owner_key")
            windows_uuid = Column("uuid", String(255), key="uuid_key")

        base.metadata.create_all(engine)
        store = SQLAlchemyMachineStore(sessionmaker(engine), Renamed)
        store.bind(make_machine(), FIRST)
        (kept,) = store.list_for(FIRST)
        assert [getattr(kept, name) for name in MACHINE_FIELDS] == [
            getattr(make_machine(), name) for name in MACHINE_FIELDS
        ]

    def test_defaults_of_the_host_are_filled_in(self, engine: Engine) -> None:
        """Keys and columns of the host's get the defaults that its model gives them."""
        base: Any = declarative_base()

        class Own(MachineMixin, base):
            __tablename__ = "own"
            id = Column(String(8), primary_key=True, default=lambda: "made")
            user_id = Column(Integer)
            source = Column(String(8), nullable=False, default="api")

        base.metadata.create_all(engine)
        SQLAlchemyMachineStore(sessionmaker(engine), Own).bind(make_machine(), FIRST)
        with Session(engine) as session:
            assert session.execute(select(Own.id, Own.source)).one() == ("made", "api")

    def test_a_model_without_the_columns_is_refused(self) -> None:
        """What is missing is named, with what to do."""
        base: Any = declarative_base()

        class Bare(base):
            __tablename__ = "bare"
            id = Column(Integer, primary_key=True)
            machine_code = Column(String(32), unique=True)

        with pytest.raises(
            ConfigurationError, match=r"Bare has no column attribute windows_uuid, .*: add MachineMixin"
        ):
            SQLAlchemyMachineStore(sessionmaker(), Bare)

    def test_a_model_without_the_key_is_refused(self) -> None:
        """Without a unique key a machine could get two owners; a key on more columns does not do."""
        base: Any = declarative_base()

        class Loose(MachineMixin, base):
            __tablename__ = "loose"
            __table_args__ = (UniqueConstraint("machine_code", "user_id"),)
            id = Column(Integer, primary_key=True)
            machine_code = Column(String(32), index=True)
            user_id = Column(Integer)

        with pytest.raises(ConfigurationError, match=r"Nothing in table loose makes machine_code unique"):
            SQLAlchemyMachineStore(sessionmaker(), Loose)

    @pytest.mark.parametrize("database", ["sqlite", "postgresql"])
    def test_a_key_with_a_condition_is_refused(self, database: str) -> None:
        """The key of soft deletes lets a code in again, and so to a second owner."""
        base: Any = declarative_base()

        class Soft(MachineMixin, base):
            __tablename__ = "soft"
            id = Column(Integer, primary_key=True)
            machine_code = Column(String(32))
            user_id = Column(Integer)

        condition = {f"{database}_where": Soft.user_id > 0}
        Index("uq", Soft.machine_code, unique=True, **condition)
        with pytest.raises(ConfigurationError, match=r"Nothing in table soft makes machine_code unique"):
            SQLAlchemyMachineStore(sessionmaker(), Soft)

    @on("sqlite")
    @pytest.mark.parametrize("how", ["primary key", "constraint"])
    def test_any_unique_key_on_the_code_is_accepted(self, engine: Engine, how: str) -> None:
        """A primary key or a constraint with a name of the host's refuses a second owner."""
        base: Any = declarative_base()

        class Keyed(MachineMixin, base):
            __tablename__ = "keyed"
            __table_args__ = (
                (UniqueConstraint("machine_code", name="one_owner"),) if how == "constraint" else ()
            )
            id = Column(Integer, primary_key=how == "constraint")
            machine_code = Column(String(32), primary_key=how == "primary key")
            user_id = Column(Integer)

        base.metadata.create_all(engine)
        store = SQLAlchemyMachineStore(sessionmaker(engine), Keyed)
        store.bind(make_machine(), FIRST)
        with pytest.raises(MachineCodeTaken):
            store.bind(make_machine(), SECOND)


def test_a_model_on_a_query_is_refused() -> None:
    """What is no table has no key that could decide."""
    base: Any = declarative_base()

    class View(base):
        __table__ = select(Machine.__table__).subquery()
        __mapper_args__ = {"primary_key": [__table__.c.id]}  # noqa: RUF012

    with pytest.raises(ConfigurationError, match="All columns of View must be in one table"):
        SQLAlchemyMachineStore(sessionmaker(), View)


@on("sqlite")
def test_a_key_that_folds_case_makes_no_code_taken(engine: Engine) -> None:
    """The store compares codes exactly: a conflict that only the collation sees is a failure, not 10004."""
    base: Any = declarative_base()

    class Folded(MachineMixin, base):
        __tablename__ = "folded"
        id = Column(Integer, primary_key=True)
        machine_code = Column(String(32, collation="NOCASE"), unique=True)
        user_id = Column(Integer)

    base.metadata.create_all(engine)
    store = SQLAlchemyMachineStore(sessionmaker(engine), Folded)
    store.bind(make_machine(), FIRST)
    assert store.owner_of(CODE.upper()) is None
    with pytest.raises(StoreFailure, match=r"stored no row and shows no bound code: .* the collation"):
        store.bind(make_machine(CODE.upper()), SECOND)
