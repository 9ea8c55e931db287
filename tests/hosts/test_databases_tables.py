"""Where a host's tables are and what they are called: attached files, tenants, prefixes, conventions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, create_engine, event
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session, declarative_base, sessionmaker

from flask_aegis_machines.stores.sqlalchemy import (
    AccountMixin,
    MachineMixin,
    SQLAlchemyMachineStore,
    SQLAlchemyUserStore,
)
from tests.support.database_hosts import (
    CODE,
    IDS,
    assert_binds_once,
    make_host,
    make_tables,
    mount,
    read,
)
from tests.support.hosts import USER_COLUMNS


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """An engine on an SQLite file, with another one attached as the schema ``other``."""
    engine = create_engine(f"sqlite:///{tmp_path}/host.db")
    attach = f"ATTACH DATABASE '{tmp_path}/other.db' AS other"
    event.listen(engine, "connect", lambda connection, record: connection.execute(attach).close())
    return engine


def serve(engine: Engine, user: Any, machine: Any) -> Flask:
    """Add the first user, and make a host on these models, whose tables are there."""
    with Session(engine) as session:
        session.add(user(id=1, **IDS))
        session.commit()
    users = SQLAlchemyUserStore(sessionmaker(engine), user, **USER_COLUMNS)
    return mount(users, SQLAlchemyMachineStore(sessionmaker(engine), machine))


def schema(path: Path) -> str:
    """Return the statements that made an SQLite file."""
    return "\n".join(str(sql) for (sql,) in read(path, "SELECT sql FROM sqlite_master"))


class TestSchemas:
    """Tables in a schema, which on SQLite is an attached file; PostgreSQL's are tested beside its keys."""

    @pytest.mark.parametrize(
        ("users_in", "machines_in"), [(None, "other"), ("other", None)], ids=["machines", "users"]
    )
    def test_one_table_elsewhere(
        self, users_in: str | None, machines_in: str | None, engine: Engine, tmp_path: Path
    ) -> None:
        """Each table is in the schema that its model names."""
        base: Any = declarative_base()

        class User(AccountMixin, base):
            __tablename__ = "user"
            __table_args__ = {"schema": users_in}  # noqa: RUF012
            id = Column(Integer, primary_key=True)

        class Machine(MachineMixin, base):
            __tablename__ = "machine"
            __table_args__ = {"schema": machines_in}  # noqa: RUF012
            id = Column(Integer, primary_key=True)
            user_id = Column(Integer, nullable=False, index=True)

        base.metadata.create_all(engine)
        assert_binds_once(serve(engine, User, Machine))
        assert read(tmp_path / f"{machines_in or 'host'}.db") == [(CODE, 1)]

    def test_doctor_looks_into_the_attached_file(self, engine: Engine) -> None:
        """Triggers, reused ids and foreign keys are those of the tables that the models name."""
        base: Any = declarative_base()

        class User(AccountMixin, base):
            __tablename__ = "user"
            __table_args__ = {"schema": "other", "sqlite_autoincrement": True}  # noqa: RUF012
            id = Column(Integer, primary_key=True)

        class Machine(MachineMixin, base):
            __tablename__ = "machine"
            __table_args__ = {"schema": "other"}  # noqa: RUF012
            id = Column(Integer, primary_key=True)
            user_id = Column(ForeignKey("other.user.id"), nullable=False, index=True)

        base.metadata.create_all(engine)
        app = serve(engine, User, Machine)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TRIGGER other.t BEFORE INSERT ON machine BEGIN SELECT 1; END")
        output = app.test_cli_runner().invoke(args=["aegis-machines", "doctor"]).output
        assert "Table machine has triggers" in output
        assert "gives the id of a deleted row" not in output
        assert "no foreign key" not in output

    def test_a_tenant_of_the_engine(self, engine: Engine, tmp_path: Path) -> None:
        """An engine that translates schemas leads to the tables of its tenant, and to no other's."""
        make_tables(engine)
        tenant = engine.execution_options(schema_translate_map={None: "other"})
        make_tables(tenant)
        assert_binds_once(make_host(sessionmaker(tenant)))
        assert (read(tmp_path / "other.db"), read(tmp_path / "host.db")) == ([(CODE, 1)], [])


class Constrained(MachineMixin):
    """The columns of a machine, with a constraint in the place of the index."""

    machine_code = Column(String(32), unique=True, nullable=False)


class TestNames:
    """Names that a host gives to tables and keys."""

    def test_a_prefix_and_tables_made_one_by_one(self, engine: Engine, tmp_path: Path) -> None:
        """A table with the host's prefix, made in a separate MetaData, has its key."""
        base: Any = declarative_base(metadata=MetaData())

        class User(AccountMixin, base):
            __tablename__ = "acme_user"
            id = Column(Integer, primary_key=True)

        class Machine(MachineMixin, base):
            __tablename__ = "acme_machine"
            id = Column(Integer, primary_key=True)
            user_id = Column(ForeignKey("acme_user.id"), nullable=False, index=True)

        User.__table__.create(engine)
        base.metadata.create_all(engine, tables=[Machine.__table__])
        assert_binds_once(serve(engine, User, Machine))
        assert read(tmp_path / "host.db", "SELECT machine_code, user_id FROM acme_machine") == [(CODE, 1)]
        assert "UNIQUE INDEX ix_acme_machine_machine_code ON" in schema(tmp_path / "host.db")

    @pytest.mark.parametrize(
        ("mixin", "declared"),
        [
            (MachineMixin, "UNIQUE INDEX machine_machine_code_idx ON machine (machine_code)"),
            (Constrained, "CONSTRAINT machine_machine_code_key UNIQUE (machine_code)"),
        ],
        ids=["index", "constraint"],
    )
    def test_a_naming_convention(self, mixin: Any, declared: str, engine: Engine, tmp_path: Path) -> None:
        """The key is found whatever the host's convention calls it."""
        names = {"ix": "%(table_name)s_%(column_0_name)s_idx", "uq": "%(table_name)s_%(column_0_name)s_key"}
        base: Any = declarative_base(metadata=MetaData(naming_convention=names))

        class User(AccountMixin, base):
            __tablename__ = "user"
            id = Column(Integer, primary_key=True)

        class Machine(mixin, base):
            __tablename__ = "machine"
            id = Column(Integer, primary_key=True)
            user_id = Column(Integer, nullable=False)

        base.metadata.create_all(engine)
        assert_binds_once(serve(engine, User, Machine))
        assert read(tmp_path / "host.db") == [(CODE, 1)]
        assert declared in schema(tmp_path / "host.db")
