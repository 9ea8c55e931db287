"""The user store on a host's own model."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import (
    CHAR,
    BigInteger,
    Column,
    Integer,
    Numeric,
    String,
    TypeDecorator,
    create_engine,
    event,
    insert,
    text,
)
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DataError
from sqlalchemy.orm import Session, declarative_base, sessionmaker
from sqlalchemy.types import UserDefinedType

from flask_aegis_machines import ConfigurationError, StoreFailure, User
from flask_aegis_machines.stores.sqlalchemy import (
    SQLAlchemyUserStore,
)
from flask_aegis_machines.testing import UserStoreContract
from tests.support.driver_failures import Fault, lost_connection
from tests.support.engines import on
from tests.support.hosts import FIRST, SECOND, USER_COLUMNS
from tests.support.models import Account, Base


class TestSQLAlchemyUserStore(UserStoreContract):
    """Users in a table."""

    @pytest.fixture
    def user(self) -> User:
        return FIRST

    @pytest.fixture
    def store(self, sessions: sessionmaker[Session]) -> SQLAlchemyUserStore:
        return SQLAlchemyUserStore(sessions, Account, **USER_COLUMNS)


class HexGuid(TypeDecorator[uuid.UUID]):
    """A type as SQLAlchemy's own recipe has it, which takes no text."""

    impl = CHAR(32)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: object) -> Any:
        return None if value is None else value.hex

    def process_result_value(self, value: Any, dialect: object) -> uuid.UUID | None:
        return uuid.UUID(value)


class Guid(TypeDecorator[uuid.UUID]):
    """A type of a host's own, which says nothing of its Python type."""

    impl = CHAR(32)
    cache_ok = True

    @property
    def python_type(self) -> type:
        raise NotImplementedError  # as SQLAlchemy before 2.1 has it for types that do not say

    def process_bind_param(self, value: object, dialect: object) -> str | None:
        return uuid.UUID(str(value)).hex

    def process_result_value(self, value: Any, dialect: object) -> uuid.UUID | None:
        return uuid.UUID(value)


KEY = uuid.UUID("0f0e0d0c-0b0a-0908-0706-050403020100")


@pytest.mark.parametrize(
    ("kind", "key", "identity", "strangers"),
    [
        (Guid, KEY, str(KEY), ["7", "no such user", ""]),
        (HexGuid, KEY, str(KEY), ["7", "no such user", ""]),
        (String(40), "Alice", "Alice", ["alice", "Alice ", "", "\0", "\ud800"]),
        (BigInteger, 2**40, str(2**40), ["1", "x", str(2**64), "1.0", "\u0661"]),
        pytest.param(
            *(Numeric(10, 0), Decimal(7), "7", [" 7", "+7", "0_7", "\u0667", "8"]),
            # of SQLAlchemy 1.4, which keeps decimals as floats there
            marks=pytest.mark.filterwarnings("ignore:Dialect sqlite.*Decimal:sqlalchemy.exc.SAWarning"),
        ),
    ],
    ids=["own type", "own type of no text", "name", "big integer", "decimal"],
)
def test_keys_of_any_type(
    engine: Engine, kind: Any, key: object, identity: str, strangers: list[str]
) -> None:
    """UUIDs in a type of the host's, names and integers each find their user and nobody else."""
    base: Any = declarative_base()

    class Person(base):
        __tablename__ = "person"
        key = Column("person_key", kind, primary_key=True)
        speed_id = Column(String(9))
        number = Column(String(18))

    base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Person(key=key, speed_id="ASD000009", number=None))
        session.commit()
    store = SQLAlchemyUserStore(
        sessionmaker(engine), Person, identity="key", aegisspeed_id="speed_id", id_number="number"
    )
    assert store.get(identity) == User(key, "ASD000009", "")
    assert [stranger for stranger in strangers if store.get(stranger) is not None] == []


@on("sqlite")
def test_a_name_is_compared_exactly_where_the_database_does_not(engine: Engine) -> None:
    """A collation that folds case, as MySQL's default does, leads nobody to another's account."""
    base: Any = declarative_base()

    class Person(base):
        __tablename__ = "person"
        key = Column(String(40, collation="NOCASE"), primary_key=True)
        speed_id = Column(String(9))
        number = Column(String(18))

    base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Person(key="Alice", speed_id="ASD000009", number="9"))
        session.commit()
    columns = {"identity": "key", "aegisspeed_id": "speed_id", "id_number": "number"}
    store = SQLAlchemyUserStore(sessionmaker(engine), Person, **columns)
    assert [store.get(name) for name in ("Alice", "alice", "ALICE")] == [
        User("Alice", "ASD000009", "9"),
        None,
        None,
    ]


def test_the_identity_need_not_be_the_key(sessions: sessionmaker[Session]) -> None:
    """Tokens may name the user by another column than the one that machines refer to."""
    store = SQLAlchemyUserStore(
        sessions,
        Account,
        identity="aegisspeed_id",
        aegisspeed_id="aegisspeed_id",
        id_number="id_number",
        key="id",
    )
    assert store.get("ASD000001") == FIRST


def test_an_error_of_the_server_is_no_verdict(engine: Engine, sessions: sessionmaker[Session]) -> None:
    """Whatever a server says about an identity, it does not mean that the user does not exist."""

    @event.listens_for(engine, "before_cursor_execute")
    def refuse(*args: object) -> None:
        raise DataError("SELECT", {}, Exception("invalid input syntax for type uuid"))

    with pytest.raises(StoreFailure, match=r"sqlalchemy\.exc\.DataError"):
        SQLAlchemyUserStore(sessions, Account, **USER_COLUMNS).get("1")


def test_other_failures_of_a_look_up_are_failures() -> None:
    """A missing table is not "no such user"."""
    engine = create_engine("sqlite://")
    store = SQLAlchemyUserStore(sessionmaker(engine), Account, **USER_COLUMNS)
    with pytest.raises(StoreFailure, match="no such table: account"):
        store.get("1")
    engine.dispose()


def test_a_look_up_reads_once(engine: Engine, sessions: sessionmaker[Session]) -> None:
    """One statement finds the user."""
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    SQLAlchemyUserStore(sessions, Account, **USER_COLUMNS).get("1")
    assert [statement.split()[0] for statement in statements] == ["SELECT"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"session": Session()}, "session must be a callable that returns a Session"),
        ({"model": int}, "must be a mapped class"),
        ({"model": Base}, "must be a mapped class"),
        ({"identity": "ID"}, "Account has no column attribute ID"),
        ({"id_number": "number", "key": "k"}, "Account has no column attribute k, number"),
        ({"transaction": "theirs"}, 'transaction must be "own" or "host"'),
    ],
)
def test_a_wrong_set_up_says_what_to_do(arguments: dict[str, Any], message: str) -> None:
    """Each wrong argument is found when the store is made."""
    good: dict[str, Any] = {"session": sessionmaker(), "model": Account, **USER_COLUMNS}
    with pytest.raises(ConfigurationError, match=message):
        SQLAlchemyUserStore(**{**good, **arguments})


def test_integers_are_of_their_column(sessions: sessionmaker[Session]) -> None:
    """The key that goes into the machine has the type of its column."""
    user = SQLAlchemyUserStore(sessions, Account, **USER_COLUMNS).get("1")
    assert user is not None
    assert type(user.key) is int
    assert isinstance(Account.__table__.c.id.type, Integer)


def test_a_look_up_is_repeated_like_an_insert(engine: Engine, sessions: sessionmaker[Session]) -> None:
    """Nearly every failure under fault came from the look-up, so it outlives the same outages."""
    fault = Fault(engine, "SELECT", "before", 3, lost_connection())
    assert SQLAlchemyUserStore(sessions, Account, **USER_COLUMNS).get("1") == FIRST
    assert fault.fired == 3


def test_an_instance_is_no_model() -> None:
    """What SQLAlchemy can inspect is not mapped for that."""
    with pytest.raises(ConfigurationError, match="must be a mapped class"):
        SQLAlchemyUserStore(sessionmaker(), Account(), **USER_COLUMNS)


class Silent(UserDefinedType[str]):
    """A type of a host's own, which cannot say what its Python type is."""

    cache_ok = True

    @property
    def python_type(self) -> type:
        raise NotImplementedError

    def get_col_spec(self, **kw: object) -> str:
        return "VARCHAR(20)"


@on("sqlite")
@pytest.mark.parametrize(
    ("kind", "identity", "reads"),
    [(Silent(), "Alice", 1), (String(20), "A\0lice", 0), (Numeric(20), "Alice", 0)],
    ids=["own type", "NUL", "decimal"],
)
def test_what_cannot_be_a_key_is_not_looked_up(engine: Engine, kind: Any, identity: str, reads: int) -> None:
    """An identity that some driver would choke on is nobody's before the database is asked."""
    base: Any = declarative_base()

    class Person(base):
        __tablename__ = "person"
        key = Column(kind, primary_key=True)
        speed_id = Column(String(9))
        number = Column(String(18))

    base.metadata.create_all(engine)
    statements: list[object] = []
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    names = {"identity": "key", "aegisspeed_id": "speed_id", "id_number": "number"}
    assert SQLAlchemyUserStore(sessionmaker(engine), Person, **names).get(identity) is None
    assert len(statements) == reads


@on("sqlite")
def test_a_type_of_the_host_may_hold_text(engine: Engine) -> None:
    """A type that does not say what it returns is accepted, and its values reach the user."""
    base: Any = declarative_base()

    class Person(base):
        __tablename__ = "person"
        key = Column(Integer, primary_key=True)
        speed_id = Column(Silent())
        number = Column(Silent())

    names = {"identity": "key", "aegisspeed_id": "speed_id", "id_number": "number"}
    store = SQLAlchemyUserStore(sessionmaker(engine), Person, **names)
    base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Person(key=9, speed_id="ASD000009", number="9"))
        session.commit()
    assert store.get("9") == User(9, "ASD000009", "9")


def test_a_missing_table_or_column_is_reported(engine: Engine, sessions: sessionmaker[Session]) -> None:
    """Doctor reports a missing table or column before the first request fails."""
    store = SQLAlchemyUserStore(sessions, Account, **USER_COLUMNS)
    assert store.problems() == []
    Base.metadata.drop_all(engine)
    assert store.problems() == ["There is no table account: make it by a migration."]
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE account (id INTEGER)"))
    with pytest.raises(StoreFailure, match=r"no such column: account|42703|1054"):
        store.problems()


@on("sqlite", "mariadb-pymysql")
class TestGetByKey:
    """``get_by_key`` returns the user whose key a machine's row has."""

    def test_a_key_leads_to_its_user(self, sessions: sessionmaker[Session]) -> None:
        """The key is another column than the identity where the host says so."""
        by_id = SQLAlchemyUserStore(sessions, Account, **USER_COLUMNS)
        columns = {**USER_COLUMNS, "identity": "aegisspeed_id", "key": "id"}
        by_text = SQLAlchemyUserStore(sessions, Account, **columns)
        for store in (by_id, by_text):
            assert store.get_by_key(SECOND.key) == SECOND
            assert store.get_by_key(99) is None

    def test_a_user_without_an_id_number_has_an_empty_one(
        self, sessions: sessionmaker[Session], engine: Engine
    ) -> None:
        """What is shown of nothing is nothing."""
        with engine.begin() as connection:
            connection.execute(
                insert(Account.__table__).values(id=3, aegisspeed_id="ASD000003", id_number="")
            )
        store = SQLAlchemyUserStore(sessions, Account, **USER_COLUMNS)
        assert store.get_by_key(3) == User(3, "ASD000003", "")
