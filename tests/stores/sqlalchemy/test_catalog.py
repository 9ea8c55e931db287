"""What the store asks the catalogue of a database, and for how long it believes the answer."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Column, Integer, text
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session, declarative_base, sessionmaker

from flask_aegis_machines import ConfigurationError, MachineCodeTaken, StoreFailure
from flask_aegis_machines.stores.sqlalchemy import MachineMixin, SQLAlchemyMachineStore
from flask_aegis_machines.testing import make_machine
from tests.support.engines import MARIADB, POSTGRES, on
from tests.support.hosts import FIRST, SECOND
from tests.support.models import Machine


@on(*MARIADB)
def test_each_schema_is_looked_at(engine: Engine) -> None:
    """A tenant's table without a key is refused, although that of another tenant has one."""
    base: Any = declarative_base()

    class Tenants(MachineMixin, base):
        __tablename__ = "machine"
        __table_args__ = {"schema": "tenant"}  # noqa: RUF012
        id = Column(Integer, primary_key=True)
        user_id = Column(Integer)

    name = engine.url.database
    translated: list[str] = []
    store = SQLAlchemyMachineStore(
        lambda: Session(engine.execution_options(schema_translate_map={"tenant": translated[-1]})), Tenants
    )
    try:
        for tenant in ("good", "bad"):
            translated.append(f"{name}_{tenant}")
            with engine.begin() as connection:
                connection.execute(text(f"CREATE DATABASE {translated[-1]}"))
            base.metadata.create_all(
                engine.execution_options(schema_translate_map={"tenant": translated[-1]})
            )
        with engine.begin() as connection:
            connection.execute(text(f"DROP INDEX ix_tenant_machine_machine_code ON {translated[-1]}.machine"))
        translated.append(f"{name}_good")
        store.bind(make_machine(), FIRST)
        translated.append(f"{name}_bad")
        with pytest.raises(ConfigurationError, match="A machine could get two owners"):
            store.bind(make_machine(), FIRST)
    finally:
        with engine.begin() as connection:
            for tenant in ("good", "bad"):
                connection.execute(text(f"DROP DATABASE IF EXISTS {name}_{tenant}"))


@on("sqlite")
def test_another_database_is_asked_for_its_keys(
    engine: Engine, store: SQLAlchemyMachineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain INSERT does not report a missing key, so the store looks for it."""
    monkeypatch.setattr(engine.dialect, "name", "another")
    store.bind(make_machine(), FIRST)
    with engine.begin() as connection:
        connection.execute(text("DROP INDEX ix_machine_machine_code"))
    with pytest.raises(ConfigurationError, match="A machine could get two owners"):
        SQLAlchemyMachineStore(sessionmaker(engine), Machine).bind(make_machine(), FIRST)


@on("sqlite", POSTGRES)
def test_a_trigger_on_a_table_that_is_created_later_is_seen(
    engine: Engine, store: SQLAlchemyMachineStore
) -> None:
    """A missing table says nothing about the triggers of the one to come. One could remove the owner."""
    Machine.__table__.drop(engine)
    with pytest.raises(StoreFailure):
        store.bind(make_machine(), FIRST)
    Machine.__table__.create(engine)
    body = "DELETE FROM machine WHERE machine_code = NEW.machine_code;"
    statements = {
        "sqlite": [f"CREATE TRIGGER t BEFORE INSERT ON machine BEGIN {body} END"],
        "postgresql": [
            f"CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN {body} RETURN NEW; END'",
            "CREATE TRIGGER t BEFORE INSERT ON machine FOR EACH ROW EXECUTE FUNCTION t()",
        ],
    }
    with engine.begin() as connection:
        for statement in statements[engine.dialect.name]:
            connection.exec_driver_sql(statement)
    store.bind(make_machine(), FIRST)
    with pytest.raises(MachineCodeTaken):
        store.bind(make_machine(), SECOND)


@on(*MARIADB)
def test_a_table_that_is_created_later_is_looked_at(engine: Engine, store: SQLAlchemyMachineStore) -> None:
    """A missing table says nothing about the key of the one to come."""
    Machine.__table__.drop(engine)
    with pytest.raises(StoreFailure, match="1146"):
        store.bind(make_machine(), FIRST)
    Machine.__table__.create(engine)
    with engine.begin() as connection:
        connection.execute(text("DROP INDEX ix_machine_machine_code ON machine"))
    with pytest.raises(ConfigurationError, match="A machine could get two owners"):
        store.bind(make_machine(), FIRST)
