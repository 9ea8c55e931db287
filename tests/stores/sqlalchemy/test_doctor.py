"""What the store finds wrong with the live table of machines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Column, Integer, create_engine, text
from sqlalchemy.engine import Engine
from sqlalchemy.orm import declarative_base, sessionmaker

from flask_aegis_machines._records import MACHINE_FIELDS
from flask_aegis_machines.stores import Notice
from flask_aegis_machines.stores.sqlalchemy import MachineMixin, SQLAlchemyMachineStore
from tests.support.engines import DRIVERS, POSTGRES, on
from tests.support.models import Machine

NOT_UNIQUE = (
    "Nothing in the live table machine makes machine_code unique, so a machine could get two owners: "
    "give it a unique index by a migration."
)
NOT_EXACT = (
    "Column machine_code does not compare exactly, so different codes count as one: give it a binary "
    "collation, as MachineMixin does."
)
NO_PAGE = (
    "Pages of the list get slower as a user's machines grow: add an index on "
    "user_id, registered_at, machine_code."
)
KEY = "CREATE UNIQUE INDEX machine_key ON machine (machine_code)"
PAGE = "CREATE INDEX machine_page ON machine (user_id, registered_at, machine_code)"

Remake = Callable[..., list[str]]


def failures(store: SQLAlchemyMachineStore) -> list[str]:
    """Return what makes doctor fail, without its notices."""
    return [problem for problem in store.problems() if not isinstance(problem, Notice)]


def exact_on(engine: Engine) -> str:
    """Return the type of a code on this database."""
    return "VARCHAR(32)" if engine.dialect.name != "mysql" else "VARCHAR(32) COLLATE utf8mb4_bin"


@pytest.fixture
def remake(engine: Engine, store: SQLAlchemyMachineStore) -> Remake:
    """Make the table again, as a migration of a host might have, and return what is wrong with it."""
    exact = exact_on(engine)
    timestamp = "TIMESTAMP WITH TIME ZONE" if engine.dialect.name == "postgresql" else "TIMESTAMP"

    def remake(*after: str, before: str = "SELECT 1", options: str = "", **types: str) -> list[str]:
        columns = {
            "id": "INTEGER NOT NULL",
            "user_id": "INTEGER REFERENCES account (id)",
            **dict.fromkeys(MACHINE_FIELDS, "VARCHAR(255)"),
            "machine_code": exact,
            "registered_at": timestamp,
            "attempt": exact,
            **types,
        }
        declared = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        with engine.begin() as connection:
            for statement in (
                "DROP TABLE machine",
                before,
                f"CREATE TABLE machine ({declared}) {options}",
                *after,
            ):
                connection.execute(text(statement))
        return failures(store)

    return remake


@on(*DRIVERS)
class TestEverywhere:
    """Findings that are the same on every database."""

    def test_the_mixin_s_table_is_well(self, store: SQLAlchemyMachineStore) -> None:
        """A table made of the model, as it is advised, has no problem."""
        assert store.problems() == []

    def test_what_is_missing_is_told(self, store: SQLAlchemyMachineStore, engine: Engine) -> None:
        """No table, and a table of earlier days, say what they lack; nothing else is looked for."""
        Machine.__table__.drop(engine)
        assert store.problems() == ["There is no table machine: make it by a migration."]
        with engine.begin() as connection:
            lacking = [name for name in MACHINE_FIELDS if name not in ("machine_cpu", "windows_uuid")]
            columns = ", ".join(f"{name} VARCHAR(32)" for name in [*lacking, "user_id", "attempt"])
            connection.execute(text(f"CREATE TABLE machine ({columns})"))
        assert store.problems() == [
            "Table machine has no column windows_uuid, machine_cpu, registered_at: add it by a migration."
        ]

    def test_a_missing_key_is_told(self, remake: Remake) -> None:
        """An index that is not unique, and a key on more columns, let a code in twice."""
        plain = "CREATE INDEX machine_plain ON machine (machine_code)"
        wide = "CREATE UNIQUE INDEX machine_wide ON machine (machine_code, user_id)"
        assert remake(PAGE, plain, wide) == [NOT_UNIQUE]

    def test_a_constraint_is_a_key(self, remake: Remake, engine: Engine) -> None:
        """The key may be a constraint in place of an index, of the table or of the column."""
        for kind in ("UNIQUE", "PRIMARY KEY"):
            assert remake(PAGE, attempt=f"CHAR(32), {kind} (machine_code)") == []
            assert remake(PAGE, machine_code=f"{exact_on(engine)} {kind}") == []

    def test_a_missing_page_index_is_told(self, remake: Remake) -> None:
        """What begins with the three columns serves the pages; an index on only the owner does not."""
        assert remake(KEY, "CREATE INDEX machine_owner ON machine (user_id)") == [NO_PAGE]
        assert remake(KEY, PAGE.replace("machine_code)", "machine_code, id)")) == []

    def test_columns_that_are_too_short_are_told(self, remake: Remake, engine: Engine) -> None:
        """Neither a code nor an attempt fits into fewer than 32 characters; one run reports everything."""
        assert remake(machine_code=exact_on(engine).replace("32", "16"), attempt="VARCHAR(31)") == [
            NOT_UNIQUE,
            NO_PAGE,
            "Column machine_code holds 16 characters of 32: make it longer.",
            "Column attempt holds 31 characters of 32: make it longer.",
        ]

    def test_names_are_those_of_the_table(self, engine: Engine) -> None:
        """A host that maps our attributes to names of its own reads of its own."""
        base: Any = declarative_base()

        class Renamed(MachineMixin, base):
            __tablename__ = "renamed"
            id = Column(Integer, primary_key=True)
            machine_code = Column("code", MachineMixin.machine_code.type, unique=True, nullable=False)
            user_id = Column("owner", Integer)

        base.metadata.create_all(engine)
        assert failures(SQLAlchemyMachineStore(sessionmaker(engine), Renamed)) == [
            NO_PAGE.replace("user_id", "owner").replace("machine_code", "code")
        ]


@on("sqlite", POSTGRES)
class TestNotOnMySQL:
    """What MySQL does not have."""

    @pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression")
    def test_a_partial_key_is_none(self, remake: Remake) -> None:
        """The key of soft deletes, and one on the code in lower case, are no keys on the code."""
        assert remake(PAGE, f"{KEY} WHERE user_id > 0") == [NOT_UNIQUE]
        assert remake(PAGE, KEY.replace("(machine_code)", "(lower(machine_code))")) == [NOT_UNIQUE]

    def test_text_without_a_length_is_long_enough(self, remake: Remake) -> None:
        """TEXT holds any code."""
        assert remake(KEY, PAGE, machine_code="TEXT", attempt="TEXT") == []


@on("sqlite")
class TestSQLite:
    """Collations of SQLite."""

    @pytest.mark.parametrize(
        ("kind", "key"),
        [
            ("VARCHAR(32) COLLATE NOCASE", KEY),
            ("VARCHAR(32) COLLATE NOCASE UNIQUE", "SELECT 1"),
            ("VARCHAR(32) COLLATE NOCASE PRIMARY KEY", "SELECT 1"),
            ("VARCHAR(32)", KEY.replace("(machine_code)", "(machine_code COLLATE NOCASE)")),
            ("VARCHAR(32)", KEY.replace("(machine_code)", "(machine_code COLLATE RTRIM)")),
        ],
        ids=["column", "constraint", "primary key", "index", "trailing spaces"],
    )
    def test_a_key_that_folds_is_told(self, remake: Remake, kind: str, key: str) -> None:
        """What decides is the collation of the key, wherever it was given."""
        assert remake(PAGE, key, machine_code=kind) == [NOT_EXACT]

    def test_the_key_s_collation_wins(self, remake: Remake) -> None:
        """A key that compares exactly does, whatever the column says."""
        exact = KEY.replace("(machine_code)", "(machine_code COLLATE BINARY)")
        assert remake(PAGE, exact, machine_code="VARCHAR(32) COLLATE NOCASE") == []


@on("sqlite")
def test_another_database_is_asked_what_each_can_tell(
    remake: Remake, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where we know no question about collations, the other findings are the same."""
    monkeypatch.setattr(engine.dialect, "name", "another")
    assert remake(KEY, machine_code="VARCHAR(16) COLLATE NOCASE") == [
        NO_PAGE,
        "Column machine_code holds 16 characters of 32: make it longer.",
    ]


@on(POSTGRES)
class TestPostgreSQL:
    """Collations, types and schemas of PostgreSQL."""

    def test_a_collation_that_folds_is_told(
        self, remake: Remake, store: SQLAlchemyMachineStore, engine: Engine
    ) -> None:
        """A nondeterministic collation takes codes for equal that are not."""
        folding = 'CREATE COLLATION folding FROM "C"'
        assert remake(KEY, PAGE, before=folding, machine_code="VARCHAR(32) COLLATE folding") == []
        # Only ICU makes such collations, and the server of the tests is built without it.
        with engine.begin() as connection:
            nondeterministic = (
                "UPDATE pg_collation SET collisdeterministic = false WHERE collname = 'folding'"
            )
            connection.execute(text(nondeterministic))
        assert store.problems() == [NOT_EXACT]

    def test_citext_is_told(self, remake: Remake, engine: Engine) -> None:
        """The type that folds case is known by its name, in the search path or not."""
        # A domain of this name stands in for the extension, which the server of the tests lacks.
        for domain in ("citext", "extensions.citext"):
            with engine.begin() as connection:
                connection.execute(text("CREATE SCHEMA IF NOT EXISTS extensions"))
            stand_in = f"CREATE DOMAIN {domain} AS text"
            assert remake(KEY, PAGE, before=stand_in, machine_code=domain) == [NOT_EXACT]

    def test_a_moment_without_its_zone_is_told(self, remake: Remake) -> None:
        """A session in another zone would write and read other timestamps."""
        assert remake(KEY, PAGE, registered_at="TIMESTAMP") == [
            "Column registered_at has no time zone, so its timestamps are those of the zone of each session: "
            "make it TIMESTAMP WITH TIME ZONE."
        ]

    def test_a_table_in_a_schema_of_its_own(self, engine: Engine) -> None:
        """Names are looked up in the model's schema, however they are written."""
        base: Any = declarative_base()

        class Elsewhere(MachineMixin, base):
            __tablename__ = "Machine"
            __table_args__ = {"schema": "Own"}  # noqa: RUF012
            id = Column(Integer, primary_key=True)
            user_id = Column(Integer)

        with engine.begin() as connection:
            connection.execute(text('CREATE SCHEMA "Own"'))
        store = SQLAlchemyMachineStore(sessionmaker(engine), Elsewhere)
        assert store.problems() == ["There is no table Machine: make it by a migration."]
        base.metadata.create_all(engine)
        assert failures(store) == [NO_PAGE]


@on("mariadb-pymysql")
class TestMariaDB:
    """Collations, keys and engines of MariaDB."""

    @pytest.mark.parametrize(
        "kind",
        [
            "VARCHAR(32)",
            "VARCHAR(32) COLLATE utf8mb4_unicode_ci",
            "VARCHAR(32) CHARACTER SET latin1",
            "VARBINARY(32)",
        ],
    )
    def test_a_collation_that_folds_is_told(self, remake: Remake, kind: str) -> None:
        """What the server takes by default folds case; bytes are no text."""
        assert remake(KEY, PAGE, machine_code=kind) == [NOT_EXACT]

    @pytest.mark.parametrize(
        ("kind", "options"),
        [
            ("VARCHAR(32)", "COLLATE utf8mb4_bin"),
            ("VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin", ""),
            ("VARCHAR(32) CHARACTER SET latin1 COLLATE latin1_general_cs", ""),
        ],
        ids=["of the table", "ASCII", "case-sensitive"],
    )
    def test_other_collations_are_exact(self, remake: Remake, kind: str, options: str) -> None:
        """The collation may be the table's, and another that keeps case."""
        assert remake(KEY, PAGE, machine_code=kind, options=options) == []

    def test_a_key_on_a_prefix_is_none(self, remake: Remake) -> None:
        """Codes that begin alike would count as one."""
        assert remake(PAGE, KEY.replace("(machine_code)", "(machine_code(10))")) == [NOT_UNIQUE]

    @pytest.mark.parametrize("kept_by", ["MyISAM", "Aria"])
    @pytest.mark.parametrize("name", ["mysql", "mariadb"])
    def test_an_engine_without_transactions_is_told(
        self, remake: Remake, engine: Engine, name: str, kept_by: str
    ) -> None:
        """What such an engine acknowledged may be gone after a crash, by whichever name it is reached."""
        remake(KEY, PAGE, options=f"ENGINE={kept_by}")
        reached = create_engine(engine.url.set(drivername=f"{name}+pymysql"))
        store = SQLAlchemyMachineStore(sessionmaker(reached), Machine)
        assert failures(store) == [
            f"Table machine is kept by {kept_by}: let InnoDB keep it, with transactions."
        ]
        reached.dispose()


def test_a_database_out_of_reach_is_named_without_its_password() -> None:
    """Doctor names the host, the port, the database and the role, at once."""
    engine = create_engine("postgresql+psycopg2://someone:S3cret@127.0.0.1:1/none")
    (problem,) = SQLAlchemyMachineStore(sessionmaker(engine), Machine).problems()
    assert problem.startswith(
        "Cannot connect to database none at 127.0.0.1:1 as someone: sqlalchemy.exc.OperationalError"
    )
    assert "S3cret" not in problem
