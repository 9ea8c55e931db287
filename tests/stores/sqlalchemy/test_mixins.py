"""The columns that a host mixes in."""

from __future__ import annotations

import pytest
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    Table,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import declarative_base
from sqlalchemy.schema import CreateTable

from flask_aegis_machines._records import MACHINE_FIELDS
from flask_aegis_machines.stores.sqlalchemy import (
    AccountMixin,
    MachineMixin,
)
from tests.support.models import Account, Machine

MACHINES: Table = Machine.__table__
ACCOUNTS: Table = Account.__table__


def ddl(table: Table, dialect: Dialect) -> dict[str, str]:
    """Return what each column is declared as."""
    lines = str(CreateTable(table).compile(dialect=dialect)).splitlines()
    return {line.split()[0]: line.strip().rstrip(", ") for line in lines if line.startswith("\t")}


def test_every_field_has_a_column_that_must_be_filled() -> None:
    """Nothing of a machine may be missing, its attempt least of all."""
    for name in (*MACHINE_FIELDS, "registered_at", "attempt"):
        assert not MACHINES.c[name].nullable


def test_the_keys_are_unique_and_named() -> None:
    """The code of a machine and the ID of an account have a unique index with a name, on every database."""
    for table, column in ((MACHINES, "machine_code"), (ACCOUNTS, "aegisspeed_id")):
        keys = {
            index.name: index.unique for index in table.indexes if list(index.columns) == [table.c[column]]
        }
        assert keys == {f"ix_{table.name}_{column}": True}


def test_the_key_survives_table_args_of_the_host() -> None:
    """A host's own ``__table_args__`` do not take the key away, nor does a second model."""
    base = declarative_base(
        metadata=MetaData(naming_convention={"ix": "key_%(table_name)s_%(column_0_name)s"})
    )

    class Own(MachineMixin, base):
        __tablename__ = "own"
        __table_args__ = {"comment": "ours"}  # noqa: RUF012
        id = Column(Integer, primary_key=True)
        user_id = Column(Integer)

    assert {index.name for index in Own.__table__.indexes if index.unique} == {"key_own_machine_code"}


@pytest.mark.parametrize("name", ["mysql", "mariadb"])
def test_text_is_exact_on_mysql(name: str) -> None:
    """MySQL and MariaDB compare codes and IDs byte by byte, and keep any text and microseconds."""
    dialect = mysql.dialect()
    dialect.name = name
    declared = {**ddl(ACCOUNTS, dialect), **ddl(MACHINES, dialect)}
    assert declared["machine_code"] == "machine_code VARCHAR(32) COLLATE utf8mb4_bin NOT NULL"
    assert declared["attempt"] == "attempt VARCHAR(32) COLLATE utf8mb4_bin NOT NULL"
    assert declared["machine_cpu"] == "machine_cpu VARCHAR(255) COLLATE utf8mb4_bin NOT NULL"
    assert declared["aegisspeed_id"] == "aegisspeed_id VARCHAR(9) COLLATE utf8mb4_bin NOT NULL"
    assert declared["registered_at"] == "registered_at DATETIME(6) NOT NULL"


@pytest.mark.parametrize("dialect", [postgresql.dialect(), sqlite.dialect()], ids=["postgresql", "sqlite"])
def test_text_is_plain_elsewhere(dialect: Dialect) -> None:
    """Other databases compare exactly by themselves, and do not know that collation."""
    assert ddl(MACHINES, dialect)["machine_code"] == "machine_code VARCHAR(32) NOT NULL"


def test_the_account_mixin_has_the_two_columns_that_hosts_lack() -> None:
    """What identifies the user is the host's to add."""
    assert {name for name in vars(AccountMixin) if not name.startswith("_")} == {"aegisspeed_id", "id_number"}


def test_lengths_zones_and_emptiness_are_as_documented() -> None:
    """Every fact has 255 characters, timestamps have a zone, and an account has its ID number."""
    declared = {**ddl(ACCOUNTS, postgresql.dialect()), **ddl(MACHINES, postgresql.dialect())}
    facts = MACHINE_FIELDS[1:]
    assert [declared[name] for name in facts] == [f"{name} VARCHAR(255) NOT NULL" for name in facts]
    assert declared["registered_at"] == "registered_at TIMESTAMP WITH TIME ZONE NOT NULL"
    assert declared["id_number"] == "id_number VARCHAR(64) NOT NULL"
