"""Models as hosts have them: styles of mapping, kinds of keys, names of columns, and subclasses."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from flask import Flask
from sqlalchemy import Column, DateTime, ForeignKey, Integer, String, Table, create_engine, orm
from sqlalchemy.engine import Engine
from sqlalchemy.ext.hybrid import hybrid_property

from flask_aegis_machines import ConfigurationError
from flask_aegis_machines._records import MACHINE_FIELDS
from flask_aegis_machines.stores.sqlalchemy import (
    AccountMixin,
    MachineMixin,
    SQLAlchemyMachineStore,
    SQLAlchemyUserStore,
)
from tests.support.database_hosts import CODE, IDS, assert_binds_once, mount, only_2, read, register
from tests.support.hosts import USER_COLUMNS, assert_answer

KEY = uuid.UUID("0f0e0d0c-0b0a-0908-0706-050403020100")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An SQLite file without tables."""
    return tmp_path / "host.db"


@pytest.fixture
def engine(path: Path) -> Engine:
    """The host's engine on it."""
    return create_engine(f"sqlite:///{path}")


def make_host(engine: Engine, user: type, machine: type, *rows: object, **names: str) -> Flask:
    """Make a host on these models and their tables, with these rows."""
    for model in (user, machine):
        sqlalchemy.inspect(model).local_table.metadata.create_all(engine)
    sessions = orm.sessionmaker(engine)
    with sessions() as session:
        session.add_all(rows)
        session.commit()
    users = SQLAlchemyUserStore(sessions, user, **{**USER_COLUMNS, **names})
    return mount(users, SQLAlchemyMachineStore(sessions, machine))


def make_machine(base: Any, kind: Any = Integer) -> type:
    """Make a machine's model whose ``user_id`` is of this type."""

    class Machine(MachineMixin, base):
        __tablename__ = "machine"
        id = Column(Integer, primary_key=True)
        user_id = Column(kind, nullable=False, index=True)

    return Machine


class TestStyles:
    """Styles of mapping, beside the declarative one of SQLAlchemy 1 that other tests have."""

    @only_2
    @pytest.mark.parametrize("bases", ["plain", "dataclass"])
    def test_a_declarative_base_of_2(self, bases: str, engine: Engine, path: Path) -> None:
        """The mixins go before models with annotated columns, dataclasses or not."""
        kinds = (orm.DeclarativeBase,) if bases == "plain" else (orm.MappedAsDataclass, orm.DeclarativeBase)
        base: Any = type("Base", kinds, {})

        class User(AccountMixin, base):
            __tablename__ = "user"
            id: orm.Mapped[int] = orm.mapped_column(primary_key=True)

        class Machine(MachineMixin, base):
            __tablename__ = "machine"
            id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
            user_id: orm.Mapped[int] = orm.mapped_column(ForeignKey("user.id"), index=True)

        user = User(id=1)
        user.aegisspeed_id, user.id_number = IDS.values()
        assert_binds_once(make_host(engine, User, Machine, user))
        assert read(path) == [(CODE, 1)]

    @pytest.mark.parametrize("columns_from", ["mixin", "host"])
    def test_classes_mapped_imperatively(self, columns_from: str, engine: Engine, path: Path) -> None:
        """Plain classes do, on a table that the mixin helped to make or that the host wrote in full."""
        registry = orm.registry()

        class User:
            pass

        class Machine:
            pass

        users = Table(
            "user",
            registry.metadata,
            Column("id", Integer, primary_key=True),
            Column("aegisspeed_id", String(9)),
            Column("id_number", String(18)),
        )
        if columns_from == "mixin":
            machines = make_machine(orm.declarative_base(metadata=registry.metadata)).__table__
        else:
            machines = Table(
                "machine",
                registry.metadata,
                Column("id", Integer, primary_key=True),
                Column("user_id", ForeignKey("user.id"), nullable=False),
                Column("machine_code", String(32), unique=True, nullable=False),
                *(Column(name, String(255), nullable=False) for name in MACHINE_FIELDS[1:]),
                Column("registered_at", DateTime(timezone=True), nullable=False),
                Column("attempt", String(32), nullable=False),
            )
        registry.map_imperatively(User, users)
        registry.map_imperatively(Machine, machines)
        user = User()
        for name, value in {"id": 1, **IDS}.items():
            setattr(user, name, value)
        assert_binds_once(make_host(engine, User, Machine, user))
        assert read(path) == [(CODE, 1)]


class TestKeys:
    """What identifies a user, and what of it is in the table of machines."""

    @pytest.mark.parametrize(
        ("kind", "key", "identity", "stored"),
        [
            (Integer, 7, "7", 7),
            (String(20), "alice", "alice", "alice"),
            pytest.param(getattr(sqlalchemy, "Uuid", None), KEY, str(KEY), KEY.hex, marks=only_2),
        ],
        ids=["integer", "string", "UUID"],
    )
    def test_kinds(
        self, kind: Any, key: object, identity: str, stored: object, engine: Engine, path: Path
    ) -> None:
        """The key goes into ``user_id`` as the column of the host's keeps it; others' identities do not."""
        base: Any = orm.declarative_base()

        class User(AccountMixin, base):
            __tablename__ = "user"
            id = Column(kind, primary_key=True)

        app = make_host(engine, User, make_machine(base, kind), User(id=key, **IDS))
        for stranger in ("8", "Alice", str(uuid.UUID(int=1)), "nobody"):
            assert_answer(register(app, stranger), "10003")
        assert_binds_once(app, identity)
        assert read(path) == [(CODE, stored)]

    def test_a_text_for_a_number(self, engine: Engine, path: Path) -> None:
        """A ``user_id`` that is text, without a foreign key, takes the number of a user."""
        base: Any = orm.declarative_base()

        class User(AccountMixin, base):
            __tablename__ = "user"
            id = Column(Integer, primary_key=True)

        app = make_host(engine, User, make_machine(base, String(20)), User(id=7, **IDS))
        assert_binds_once(app, "7")
        assert read(path) == [(CODE, "7")]


class TestNames:
    """Names of columns and attributes."""

    def test_columns_with_other_names(self, engine: Engine, path: Path) -> None:
        """A host passes attribute names; its columns are called as it likes."""
        base: Any = orm.declarative_base()

        class User(base):
            __tablename__ = "members"
            number = Column("member_no", Integer, primary_key=True)
            speed_id = Column("asid", String(9))
            identity_card = Column("card", String(18))

        class Machine(MachineMixin, base):
            __tablename__ = "devices"
            id = Column("device_no", Integer, primary_key=True)
            machine_code = Column("code", String(32), unique=True, nullable=False)
            attempt = Column("request", String(32), nullable=False)
            user_id = Column("owner", ForeignKey("members.member_no"), nullable=False)

        user = User(number=1, speed_id=IDS["aegisspeed_id"], identity_card=IDS["id_number"])
        names = {"identity": "number", "aegisspeed_id": "speed_id", "id_number": "identity_card"}
        assert_binds_once(make_host(engine, User, Machine, user, **names))
        assert read(path, "SELECT code, owner FROM devices") == [(CODE, 1)]

    @pytest.mark.parametrize("name", ["other_name", "computed"])
    def test_what_is_no_column(self, name: str) -> None:
        """A synonym or a hybrid is refused at once, and the message says what to name in its place."""
        base: Any = orm.declarative_base()

        class User(AccountMixin, base):
            __tablename__ = "user"
            id = Column(Integer, primary_key=True)
            other_name = orm.synonym("aegisspeed_id")
            computed = hybrid_property(lambda self: self.aegisspeed_id)

        names = {**USER_COLUMNS, "aegisspeed_id": name}
        with pytest.raises(ConfigurationError, match=f"no column attribute {name}: name attributes that are"):
            SQLAlchemyUserStore(orm.sessionmaker(), User, **names)

    @pytest.mark.parametrize(
        "attribute",
        [orm.synonym("owner"), hybrid_property(lambda self: self.owner)],
        ids=["synonym", "hybrid"],
    )
    def test_an_owner_that_is_no_column(self, attribute: object) -> None:
        """A machine's ``user_id`` that no INSERT can name is refused at once, with what to add."""
        base: Any = orm.declarative_base()

        class Machine(MachineMixin, base):
            __tablename__ = "machine"
            id = Column(Integer, primary_key=True)
            owner = Column(Integer)
            user_id = attribute

        with pytest.raises(ConfigurationError, match=r"no column attribute user_id: .* a user_id column"):
            SQLAlchemyMachineStore(orm.sessionmaker(), Machine)

    def test_an_expression_can_be_read(self, engine: Engine, path: Path) -> None:
        """A user's AegisSpeed ID may be a ``column_property`` that the database works out."""
        base: Any = orm.declarative_base()

        class User(base):
            __tablename__ = "user"
            id = Column(Integer, primary_key=True)
            number = Column(String(6))
            id_number = Column(String(18))
            aegisspeed_id = orm.column_property("ASD" + number)

        user = User(id=1, number="000001", id_number=IDS["id_number"])
        assert_binds_once(make_host(engine, User, make_machine(base), user))
        assert read(path) == [(CODE, 1)]

    def test_an_expression_cannot_be_written(self) -> None:
        """A machine's ``user_id`` must be a column of the table, and not worked out of one."""
        base: Any = orm.declarative_base()

        class Machine(MachineMixin, base):
            __tablename__ = "machine"
            id = Column(Integer, primary_key=True)
            owner = Column(Integer)
            user_id = orm.column_property(owner + 0)

        with pytest.raises(ConfigurationError, match="All columns of Machine must be in one table"):
            SQLAlchemyMachineStore(orm.sessionmaker(), Machine)


class TestSubclasses:
    """Users whose model inherits from another."""

    @pytest.mark.parametrize("tables", ["joined", "single"])
    @pytest.mark.parametrize(
        ("model", "codes"),
        [("User", ["10000", "10000"]), ("Member", ["10000", "10003"]), ("Guest", ["10003", "10000"])],
        ids=["base", "subclass", "other subclass"],
    )
    def test_each_has_its_own_users(
        self, tables: str, model: str, codes: list[str], engine: Engine, path: Path
    ) -> None:
        """A store on a model knows the users of that model, those of subclasses included, and nobody else."""
        base: Any = orm.declarative_base()

        class User(AccountMixin, base):
            __tablename__ = "user"
            id = Column(Integer, primary_key=True)
            kind = Column(String(9), nullable=False)
            __mapper_args__ = {"polymorphic_on": kind, "polymorphic_identity": "user"}  # noqa: RUF012

        def make_subclass(name: str) -> Any:
            table = {"__tablename__": name, "id": Column(ForeignKey("user.id"), primary_key=True)}
            body = table if tables == "joined" else {}
            return type(name, (User,), {**body, "__mapper_args__": {"polymorphic_identity": name}})

        models = {"User": User, "Member": make_subclass("Member"), "Guest": make_subclass("Guest")}
        second = {**IDS, "aegisspeed_id": "ASD000002"}
        rows = [models["Member"](id=1, **IDS), models["Guest"](id=2, **second)]
        app = make_host(engine, models[model], make_machine(base), *rows)
        answers = [
            register(app, "1", machine_code="1" + CODE[1:]),
            register(app, "2", machine_code="2" + CODE[1:], user_AegisSpeed_id="ASD000002"),
        ]
        assert [answer.json["code"] for answer in answers if answer.json] == codes
        assert [str(owner) for _, owner in read(path)] == [
            identity for identity, code in zip("12", codes, strict=True) if code == "10000"
        ]

    def test_columns_in_both_tables(self, engine: Engine, path: Path) -> None:
        """Where the AegisSpeed ID is in the table of a subclass, each has its own and nobody another's."""
        base: Any = orm.declarative_base()

        class User(base):
            __tablename__ = "user"
            id = Column(Integer, primary_key=True)

        class Member(AccountMixin, User):
            __tablename__ = "member"
            id = Column(ForeignKey("user.id"), primary_key=True)

        rows = [Member(id=1, aegisspeed_id="ASD000002", id_number="1"), Member(id=2, **IDS), User(id=3)]
        app = make_host(engine, Member, make_machine(base), *rows)
        assert_answer(register(app, "1"), "10006")
        assert_answer(register(app, "3"), "10003")
        assert_binds_once(app, "2")
        assert read(path) == [(CODE, 2)]
