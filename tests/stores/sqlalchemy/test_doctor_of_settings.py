"""What doctor finds in the settings, keys and triggers of a live database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Column, Integer, String, create_engine, event, text
from sqlalchemy.engine import Engine
from sqlalchemy.orm import declarative_base, sessionmaker
from sqlalchemy.pool import QueuePool
from sqlalchemy.schema import CreateTable

from flask_aegis_machines.stores import Notice
from flask_aegis_machines.stores.sqlalchemy import AccountMixin, SQLAlchemyMachineStore, SQLAlchemyUserStore
from tests.servers import GaleraCluster, MariaDBServer, PostgresServer, Proxy, wait_until
from tests.support.engines import DRIVERS, POSTGRES, on
from tests.support.hosts import USER_COLUMNS
from tests.support.models import Account, Machine

INVALIDATE = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_machine_machine_code'::regclass"


def run(engine: Engine, *statements: str) -> None:
    """Execute statements in a transaction."""
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def findings(engine: Engine, kind: type = str) -> list[str]:
    """Return what doctor prints about the machines: notices, or failures as well."""
    found = SQLAlchemyMachineStore(sessionmaker(engine), Machine).problems()
    return [problem for problem in found if isinstance(problem, kind)]


def only(engine: Engine, kind: type = str) -> str:
    """Return the one thing that doctor prints about the machines."""
    (found,) = findings(engine, kind)
    return found


@on(*DRIVERS)
class TestForeignKeys:
    """What happens to machines when their user is deleted."""

    @pytest.fixture
    def rule(self, engine: Engine) -> Any:
        """Replace the foreign key of the machines."""
        exact = "VARCHAR(32) COLLATE utf8mb4_bin" if engine.dialect.name == "mysql" else "VARCHAR(32)"

        def replace(clause: str) -> Engine:
            Machine.__table__.drop(engine)
            columns = [
                f"{column.name} VARCHAR(255)"
                for column in Machine.__table__.columns
                if column.name not in ("id", "user_id", "machine_code", "attempt", "registered_at")
            ]
            timestamp = "TIMESTAMP WITH TIME ZONE" if engine.dialect.name == "postgresql" else "TIMESTAMP"
            declared = ", ".join(
                [
                    f"machine_code {exact} UNIQUE, attempt {exact}, registered_at {timestamp}",
                    f"user_id INTEGER DEFAULT 1 {clause}",
                    *columns,
                ]
            )
            run(
                engine,
                f"CREATE TABLE machine ({declared})",
                "CREATE INDEX machine_page ON machine (user_id, registered_at, machine_code)",
            )
            return engine

        return replace

    def test_set_null_keeps_the_code_taken(self, rule: Any) -> None:
        """The recommended rule has no finding."""
        assert findings(rule("REFERENCES account (id) ON DELETE SET NULL")) == []

    def test_cascade_frees_codes(self, rule: Any) -> None:
        """Deleting a user would delete the machines."""
        found = only(rule("REFERENCES account (id) ON DELETE CASCADE"))
        assert found.startswith("Deleting a user deletes the machines (ON DELETE CASCADE on user_id)")

    def test_no_foreign_key_is_a_notice(self, rule: Any) -> None:
        """Users may be in another database."""
        assert only(rule(""), Notice).startswith("Column user_id has no foreign key")


@on("sqlite", POSTGRES)
def test_set_default_gives_machines_away(engine: Engine) -> None:
    """Deleting a user would make another the owner."""
    Machine.__table__.drop(engine)
    statement = str(CreateTable(Machine.__table__).compile(engine))
    statement = statement.replace("REFERENCES account (id)", "REFERENCES account (id) ON DELETE SET DEFAULT")
    run(
        engine,
        statement,
        "CREATE UNIQUE INDEX k ON machine (machine_code)",
        "CREATE INDEX p ON machine (user_id, registered_at, machine_code)",
    )
    assert only(engine).startswith("Deleting a user gives the machines to another (ON DELETE SET DEFAULT")


@on("sqlite")
class TestSQLite:
    """Settings of connections, and what SQLite does by itself."""

    @pytest.mark.parametrize(
        ("pragmas", "finding"),
        [
            (["foreign_keys=OFF"], "SQLite does not enforce foreign keys"),
            (["synchronous=OFF"], "SQLite does not write to the disk before a COMMIT returns"),
            (["journal_mode=WAL", "synchronous=NORMAL"], "SQLite does not write to the disk before"),
            (["journal_mode=MEMORY"], "SQLite keeps its journal in memory mode"),
            (["journal_mode=OFF"], "SQLite keeps its journal in off mode"),
        ],
        ids=str,
    )
    def test_settings_that_lose_bindings(self, engine: Engine, pragmas: list[str], finding: str) -> None:
        """Each is set as a host would set it, in a listener."""

        @event.listens_for(engine, "connect")
        def set_pragmas(connection: Any, record: object) -> None:
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}").close()

        engine.dispose()
        assert only(engine).startswith(finding)

    def test_a_column_that_turns_digits_into_numbers(self, engine: Engine) -> None:
        """STRING is no text type in SQLite."""
        run(
            engine,
            "ALTER TABLE machine RENAME TO old",
            "DROP INDEX ix_machine_machine_code",
            "DROP INDEX ix_machine_page",
        )
        with engine.begin() as connection:
            statement = connection.execute(text("SELECT sql FROM sqlite_master WHERE name = 'old'")).scalar()
        statement = (
            str(statement)
            .replace('"old"', "machine")
            .replace("machine_code VARCHAR(32)", "machine_code STRING")
        )
        run(
            engine,
            statement,
            "CREATE UNIQUE INDEX k ON machine (machine_code)",
            "CREATE INDEX p ON machine (user_id, registered_at, machine_code)",
        )
        assert only(engine).startswith("Column machine_code is declared STRING, in which SQLite turns digits")

    def test_triggers_are_a_notice(self, engine: Engine) -> None:
        """They may be harmless."""
        run(engine, "CREATE TRIGGER harmless AFTER INSERT ON MACHINE BEGIN SELECT 1; END")
        assert only(engine, Notice).startswith("Table machine has triggers")

    def test_a_temporary_table_in_the_way(self, engine: Engine) -> None:
        """Machines would be lost with the connection."""
        small = create_engine(engine.url, poolclass=QueuePool, pool_size=1, max_overflow=0)
        event.listen(small, "connect", lambda c, r: c.execute("PRAGMA foreign_keys=ON").close())
        with small.begin() as connection:
            connection.exec_driver_sql("CREATE TEMPORARY TABLE machine AS SELECT * FROM machine")
        assert any(each.startswith("A temporary table hides machine") for each in findings(small))
        small.dispose()

    @pytest.mark.parametrize("keeps_ids", [True, False])
    def test_ids_that_are_given_twice(self, engine: Engine, keeps_ids: bool) -> None:
        """The next user would own the machines of a deleted one."""
        base: Any = declarative_base()

        class Reused(AccountMixin, base):
            __tablename__ = "reused"
            __table_args__ = {"sqlite_autoincrement": keeps_ids}  # noqa: RUF012
            id = Column(Integer, primary_key=True)

        base.metadata.create_all(engine)
        problems = SQLAlchemyUserStore(sessionmaker(engine), Reused, **USER_COLUMNS).problems()
        assert [each.partition(",")[0] for each in problems] == [
            "SQLite gives the id of a deleted row of reused to the next one"
        ] * (not keeps_ids)


@pytest.mark.clusters
@on(POSTGRES)
class TestPostgreSQL:
    """Tables and settings of PostgreSQL."""

    @pytest.mark.parametrize(
        ("statements", "finding"),
        [
            (["ALTER TABLE machine SET UNLOGGED"], "Table machine is UNLOGGED"),
            (
                ["CREATE RULE r AS ON INSERT TO machine WHERE false DO INSTEAD NOTHING"],
                "Table machine has rules (r)",
            ),
            (["CREATE TABLE child () INHERITS (machine)"], "Table machine has child tables"),
            (
                ["ALTER TABLE machine ADD CONSTRAINT late UNIQUE (machine_code) DEFERRABLE"],
                "A unique key on machine_code is deferrable",
            ),
            (
                [INVALIDATE],
                "A unique index on machine_code is invalid",
            ),
            (
                ["ALTER TABLE machine ALTER COLUMN machine_cpu TYPE char(255)"],
                "Columns machine_cpu are CHAR in the database and not in the model",
            ),
        ],
        ids=str,
    )
    def test_tables_that_cannot_keep_the_promise(
        self, engine: Engine, statements: list[str], finding: str
    ) -> None:
        """Each is changed as a migration would change it."""
        run(engine, *statements)
        assert only(engine).startswith(finding)

    @pytest.mark.parametrize(
        ("statements", "notice"),
        [
            (
                [
                    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
                    "CREATE TRIGGER harmless BEFORE INSERT ON machine FOR EACH ROW EXECUTE FUNCTION f()",
                ],
                "Table machine has triggers (harmless)",
            ),
            (
                [
                    "ALTER TABLE machine ENABLE ROW LEVEL SECURITY",
                    "ALTER TABLE machine FORCE ROW LEVEL SECURITY",
                    "CREATE ROLE plain LOGIN",
                    "GRANT ALL ON ALL TABLES IN SCHEMA public TO plain",
                ],
                "Row-level security applies to table machine",
            ),
        ],
        ids=["trigger", "row-level security"],
    )
    def test_what_an_insert_cannot_show_is_a_notice(
        self, engine: Engine, statements: list[str], notice: str
    ) -> None:
        """The command names it, and does not fail for it."""
        run(engine, *statements)
        reached = create_engine(engine.url.set(username="plain") if "Row" in notice else engine.url)
        try:
            assert any(each.startswith(notice) for each in findings(reached, Notice))
        finally:
            reached.dispose()
            if "Row" in notice:
                run(engine, "DROP OWNED BY plain", "DROP ROLE plain")

    def test_a_view_and_a_temporary_table(self, engine: Engine) -> None:
        """A table that only looks like the one of the model."""
        run(engine, "ALTER TABLE machine RENAME TO real", "CREATE VIEW machine AS SELECT * FROM real")
        assert any(each.startswith("machine is a view") for each in findings(engine, Notice))
        small = create_engine(engine.url, pool_size=1, max_overflow=0)
        with small.begin() as connection:
            connection.exec_driver_sql("CREATE TEMPORARY TABLE machine AS SELECT * FROM real")
        assert any(each.startswith("A temporary table hides machine") for each in findings(small))
        small.dispose()

    def test_a_commit_that_does_not_wait(self, engine: Engine) -> None:
        """The setting may be that of the database or of the role."""
        run(engine, f"ALTER DATABASE {engine.url.database} SET synchronous_commit = off")
        engine.dispose()
        assert only(engine).startswith("synchronous_commit is off")

    @pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
    def test_settings_that_lose_bindings(
        self, engine: Engine, postgres: PostgresServer, setting: str
    ) -> None:
        """Each is set for the whole server, as an operator would do it."""

        def switch(value: str) -> None:
            postgres.execute(f"ALTER SYSTEM SET {setting} = {value}")
            postgres.execute("SELECT pg_reload_conf()")
            wait_until(lambda: postgres.answer(f"SHOW {setting}") == [(value,)], 10, setting)

        (before,) = postgres.answer(f"SHOW {setting}")[0]
        switch("off")
        try:
            engine.dispose()
            assert any(each.startswith(f"{setting} is off") for each in findings(engine))
        finally:
            switch(before)

    def test_an_encoding_that_cannot_hold_every_fact(self, engine: Engine, postgres: PostgresServer) -> None:
        """A database of Latin-1 refuses most of Unicode."""
        latin_1 = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        postgres.execute(f"CREATE DATABASE narrow {latin_1}")
        narrow = create_engine(engine.url.set(database="narrow"))
        Account.metadata.create_all(narrow)
        assert only(narrow).startswith("The database is encoded in LATIN1")
        narrow.dispose()
        postgres.execute("DROP DATABASE narrow")

    def test_a_pooler_in_between_is_a_notice(self, engine: Engine, postgres: PostgresServer) -> None:
        """Prepared statements fail behind PgBouncer in transaction mode."""
        with Proxy("127.0.0.1", postgres.port) as proxy:
            through = create_engine(engine.url)

            @event.listens_for(through, "do_connect")
            def go_through(dialect: object, record: object, args: object, options: dict[str, Any]) -> None:
                options["host"], options["port"] = "127.0.0.1", proxy.port

            notices = findings(through, Notice)
            through.dispose()
        assert any("prepare_threshold" in each for each in notices) == (engine.dialect.driver == "psycopg")


@on("mariadb-pymysql")
class TestMariaDB:
    """Tables and settings of MariaDB."""

    def test_a_character_set_that_cannot_hold_every_fact(self, engine: Engine) -> None:
        """Three bytes a character are too few for emoji."""
        run(engine, "ALTER TABLE machine MODIFY machine_cpu VARCHAR(255) CHARACTER SET utf8mb3 NOT NULL")
        assert only(engine).startswith("Columns machine_cpu cannot hold every character")

    def test_triggers_are_a_notice(self, engine: Engine) -> None:
        """They may be harmless."""
        run(engine, "CREATE TRIGGER harmless BEFORE INSERT ON machine FOR EACH ROW SET @x = 1")
        assert only(engine, Notice).startswith("Table machine has triggers (harmless)")

    @pytest.fixture
    def careless(self, mariadb: MariaDBServer) -> Iterator[None]:
        """A server that does not write to the disk at each COMMIT."""
        mariadb.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 0")
        try:
            yield
        finally:
            mariadb.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 1")

    def test_a_mode_that_cuts_values(self, engine: Engine) -> None:
        """A fact that does not fit would be stored in part."""
        loose = create_engine(engine.url, connect_args={"init_command": "SET SESSION sql_mode = ''"})
        assert only(loose).startswith("The sql_mode of the connection is not strict")
        loose.dispose()

    @pytest.mark.usefixtures("careless")
    def test_a_log_that_is_not_flushed(self, engine: Engine) -> None:
        """A crash would lose bindings."""
        assert only(engine).startswith("innodb_flush_log_at_trx_commit is not 1")


@on("galera")
def test_galera_may_flush_later(engine: Engine, galera: GaleraCluster) -> None:
    """Other nodes have the row, so it is a notice there."""
    setting = "innodb_flush_log_at_trx_commit"
    before = [node.execute(f"SELECT @@global.{setting}")[0][0] for node in galera.nodes]
    try:
        for node in galera.nodes:
            node.execute(f"SET GLOBAL {setting} = 2")
        found = findings(engine, Notice)
    finally:
        for node, value in zip(galera.nodes, before, strict=True):
            node.execute(f"SET GLOBAL {setting} = {value}")
    assert any("On Galera that is a loss only where all nodes crash" in notice for notice in found)


def test_an_identity_without_a_key_is_reported(engine: Engine) -> None:
    """Two users could have one token."""
    base: Any = declarative_base()

    class Twice(AccountMixin, base):
        __tablename__ = "twice"
        id = Column(Integer, primary_key=True, autoincrement=False)
        login = Column(String(20))

    base.metadata.create_all(engine)
    columns = {**USER_COLUMNS, "identity": "login", "key": "id"}
    (problem,) = SQLAlchemyUserStore(sessionmaker(engine), Twice, **columns).problems()
    assert problem.startswith("Nothing makes login of table twice unique")


@on("sqlite")
def test_another_dialect_is_named_as_untested(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known to differ is said."""
    monkeypatch.setattr(engine.dialect, "name", "oracle")
    assert only(engine, Notice).startswith("oracle is not tested")
