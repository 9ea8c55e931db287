"""What an identity is in its column, decided in Python; and what counts as the same user."""

from __future__ import annotations

import enum
from typing import Any

import pytest
from sqlalchemy import CHAR, BigInteger, Column, Enum, Integer, SmallInteger, String, event, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session, declarative_base, sessionmaker

from flask_aegis_machines import ConfigurationError, StoreFailure, User
from flask_aegis_machines.stores.sqlalchemy import (
    AccountMixin,
    MachineMixin,
    SQLAlchemyMachineStore,
    SQLAlchemyUserStore,
)
from flask_aegis_machines.stores.sqlalchemy._identity_values import column_value
from flask_aegis_machines.testing import make_machine
from tests.support.engines import DRIVERS, MARIADB, on
from tests.support.hosts import USER_COLUMNS
from tests.support.models import Account

COLUMNS = {"identity": "key", "aegisspeed_id": "speed_id", "id_number": "number"}


class Colour(enum.Enum):
    """Keys of an odd host."""

    RED = 1


def people(engine: Engine, kind: Any, *keys: Any, **kinds: Any) -> SQLAlchemyUserStore:
    """Make a table of users with these keys, without a unique key, and a store on it."""
    base: Any = declarative_base()

    class Person(base):
        __tablename__ = "person"
        id = Column(Integer, primary_key=True)
        key = Column(kind)
        speed_id = Column("speed", kinds.get("speed_id", String(12)))
        number = Column("no", kinds.get("number", String(18)))

    base.metadata.create_all(engine)
    with Session(engine) as session:
        for key in keys:
            session.add(Person(key=key, speed_id="ASD000009", number="9"))
        session.commit()
    return SQLAlchemyUserStore(sessionmaker(engine), Person, **COLUMNS)


@on(*DRIVERS)
class TestEverywhere:
    """The same verdict on every driver."""

    @pytest.mark.parametrize("kind", [SmallInteger, Integer, BigInteger])
    def test_a_number_beyond_its_column_is_nobody(self, engine: Engine, kind: Any) -> None:
        """PostgreSQL has an error for it, which must not decide."""
        users = people(engine, kind, 7)
        identities = ["7", str(2**15), str(2**31), str(2**63 - 1), str(2**63), str(-(2**40))]
        assert [users.get(identity) is not None for identity in identities] == [True] + [False] * 5

    def test_two_users_of_one_identity_are_a_failure(self, engine: Engine) -> None:
        """Nobody can say which of them a token means."""
        users = people(engine, Integer, 7, 7)
        with pytest.raises(StoreFailure, match="several users have one key: make the column unique"):
            users.get("7")

    def test_padded_columns_find_their_user(self, engine: Engine) -> None:
        """The blanks of CHAR are not part of a value."""
        users = people(engine, CHAR(10), "Alice", speed_id=CHAR(12), number=CHAR(20))
        assert users.get("Alice") == User("Alice", "ASD000009", "9")
        assert [users.get(identity) for identity in ("Alice ", "alice", "Bob")] == [None] * 3

    def test_padded_owners_are_compared_without_blanks(self, engine: Engine) -> None:
        """A CHAR column of the owner keeps the list and the check right."""
        base: Any = declarative_base()

        class Padded(MachineMixin, base):
            __tablename__ = "padded"
            id = Column(Integer, primary_key=True)
            user_id = Column(CHAR(10))

        base.metadata.create_all(engine)
        store, user = SQLAlchemyMachineStore(sessionmaker(engine), Padded), User("Alice", "ASD000009", "9")
        store.bind(make_machine(), user)
        owner = store.owner_of(make_machine().machine_code)
        assert owner is not None
        assert owner.is_user(user)
        assert len(store.list_for(user)) == 1
        found = store.find(make_machine().machine_code)
        assert found is not None
        assert found[1] == "Alice"


@on("sqlite")
def test_show_finds_exactly_the_user_of_a_key(engine: Engine) -> None:
    """A collation that folds case leads nobody to another user."""
    users = people(engine, String(10, collation="NOCASE"), "alice", "Alice")
    assert [getattr(users.get_by_key(key), "key", None) for key in ("Alice", "alice", "ALICE")] == [
        "Alice",
        "alice",
        None,
    ]


@on("mariadb-pymysql")
def test_a_list_has_no_machine_of_a_similar_key(engine: Engine) -> None:
    """The default collation takes "alice" for "Alice"; pages stay full and join."""
    base: Any = declarative_base()

    class Folded(MachineMixin, base):
        __tablename__ = "folded"
        id = Column(Integer, primary_key=True)
        user_id = Column(String(10))

    base.metadata.create_all(engine)
    store = SQLAlchemyMachineStore(sessionmaker(engine), Folded)
    upper, lower = User("Alice", "ASD000001", "1"), User("alice", "ASD000002", "2")
    codes = [f"{number:031}x" for number in range(12)]
    for number, code in enumerate(codes):
        store.bind(make_machine(code), lower if number % 3 else upper)
    for user, expected in ((upper, codes[::3]), (lower, [code for n, code in enumerate(codes) if n % 3])):
        assert [machine.machine_code for machine in store.list_for(user)] == expected
        found = store.list_for(user, limit=2)
        while rest := store.list_for(user, after=found[-1].machine_code, limit=2):
            found += rest
        assert [machine.machine_code for machine in found] == expected
    assert store.list_for(upper, after=codes[1]) == []


@on("sqlite")
class TestTypes:
    """Types that hosts have for keys."""

    @pytest.mark.parametrize(
        ("kind", "key"), [(Enum(Colour), Colour.RED), (Enum("RED", "BLUE"), "RED")], ids=["class", "names"]
    )
    def test_an_enumeration_knows_its_values(self, engine: Engine, kind: Any, key: Any) -> None:
        """A text that is no value is nobody, without a question to the database."""
        users = people(engine, kind, key)
        assert [users.get(identity) is not None for identity in ("RED", "GREEN")] == [True, False]

    @pytest.mark.parametrize("column", ["speed_id", "number"])
    def test_numbers_in_place_of_text_are_refused(self, engine: Engine, column: str) -> None:
        """The API document has text for both."""
        kinds: dict[str, Any] = {column: Integer}
        with pytest.raises(ConfigurationError, match=rf"Person\.{column} must hold text"):
            people(engine, Integer, **kinds)

    def test_a_null_key_is_a_failure(self, engine: Engine) -> None:
        """A machine of nobody would belong to everybody without a key."""
        users = people(engine, Integer, 7)
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE person ADD COLUMN other INTEGER"))
        base: Any = declarative_base()

        class Person(base):
            __tablename__ = "person"
            id = Column(Integer, primary_key=True)
            key = Column(Integer)
            other = Column(Integer)
            speed_id = Column("speed", String(12))
            number = Column("no", String(18))

        store = SQLAlchemyUserStore(sessionmaker(engine), Person, **COLUMNS, key="other")
        assert users.get("7") is not None
        with pytest.raises(StoreFailure, match=r"the user has no key \(NULL\)"):
            store.get("7")

    def test_a_number_in_a_column_of_text_is_a_failure(self, engine: Engine) -> None:
        """SQLite keeps what it is given; the ID would never match."""
        users = people(engine, Integer, 7)
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE person RENAME COLUMN speed TO old"))
            connection.execute(text("ALTER TABLE person ADD COLUMN speed INTEGER"))
            connection.execute(text("UPDATE person SET speed = 123456789"))
        with pytest.raises(StoreFailure, match="the AegisSpeed ID of a user is no text in the database"):
            users.get("7")
        assert any("the AegisSpeed ID of a user is no text" in problem for problem in users.problems())


@on("sqlite")
def test_several_rows_of_one_code_are_no_owner(engine: Engine) -> None:
    """Where the key was lost, the check of a code and the command that shows it fail, and name the cause."""
    base: Any = declarative_base()

    class Keyless(MachineMixin, base):
        __tablename__ = "keyless"
        id = Column(Integer, primary_key=True)
        user_id = Column(Integer)

    base.metadata.create_all(engine)
    store = SQLAlchemyMachineStore(sessionmaker(engine), Keyless)
    store.bind(make_machine(), User(1, "ASD000001", ""))
    with engine.begin() as connection:
        connection.execute(text("DROP INDEX ix_keyless_machine_code"))
        columns = ", ".join(column.name for column in Keyless.__table__.columns if column.name != "id")
        connection.execute(text(f"INSERT INTO keyless ({columns}) SELECT {columns} FROM keyless"))
    with pytest.raises(StoreFailure, match="several rows with one machine code"):
        store.owner_of(make_machine().machine_code)
    with pytest.raises(StoreFailure, match="several rows with one machine code"):
        store.find(make_machine().machine_code)
    with pytest.raises(StoreFailure, match="no plain unique key on only the machine code"):
        store.bind(make_machine(), User(1, "ASD000001", ""))


@pytest.mark.parametrize("form", ["urn:uuid:{}", "{{{}}}"])
def test_a_uuid_as_text_is_canonical(form: str) -> None:
    """PostgreSQL accepts some of the forms that Python does."""
    value = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
    column: Any = Column("id", postgresql.UUID(as_uuid=False))
    for identity in (form.format(value), form.format(value.upper())):
        assert column_value(identity, column, postgresql.dialect()) == value


@on(*MARIADB)
@pytest.mark.parametrize("charset", ["ascii", "latin1", "utf8mb3"])
def test_a_character_that_the_column_lacks_identifies_nobody(engine: Engine, charset: str) -> None:
    """MariaDB cannot compare such a text (1267), which is no error of the server."""
    base: Any = declarative_base()

    class Login(AccountMixin, base):
        __tablename__ = "login"
        name = Column(String(64), primary_key=True)

    base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE login MODIFY name VARCHAR(64) CHARACTER SET {charset}"))
    users = SQLAlchemyUserStore(
        sessionmaker(engine), Login, identity="name", aegisspeed_id="aegisspeed_id", id_number="id_number"
    )
    assert users.get("\N{GRINNING FACE}") is None


@on("sqlite")
def test_a_database_that_cannot_encode_an_identity_has_no_such_user(engine: Engine) -> None:
    """The driver raises for it, as for a database in LATIN1; other failures stay failures."""
    users = SQLAlchemyUserStore(sessionmaker(engine), Account, **USER_COLUMNS, key="id", deadline=0)
    raised: list[Exception] = [UnicodeEncodeError("latin-1", "x", 0, 1, "")]

    @event.listens_for(engine, "before_cursor_execute")
    def fail(*event_arguments: object) -> None:
        raise raised[-1]

    by_name = SQLAlchemyUserStore(
        sessionmaker(engine), Account, **{**USER_COLUMNS, "identity": "aegisspeed_id", "deadline": 0}
    )
    assert by_name.get("\N{GRINNING FACE}") is None
    with pytest.raises(StoreFailure):
        users.get("1")
    raised.append(ValueError())
    with pytest.raises(StoreFailure):
        by_name.get("\N{GRINNING FACE}")
