"""The tables: what the migrations create, and what becomes of a machine whose owner is deleted."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import flask_migrate
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError

from example_app import demo
from example_app.models import Machine, User, db
from tests.servers import PostgresServer
from tests.support.example import CHECKOUT, REGISTER, Apps, bearer, register

MIGRATIONS = CHECKOUT / "example_app" / "migrations"
BATCH_MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "0003", "0002"


def upgrade():
    with op.batch_alter_table("user", recreate="always") as batch_op:
        batch_op.add_column(sa.Column("nickname", sa.String(50)))
"""


def columns_and_keys() -> tuple[object, object, object]:
    """Return the columns, the indexes and the foreign keys of the table of machines."""
    found = inspect(db.engine)
    columns = {each["name"]: (str(each["type"]), each["nullable"]) for each in found.get_columns("machine")}
    indexes = {each["name"]: each["column_names"] for each in found.get_indexes("machine")}
    return columns, indexes, [each["options"] for each in found.get_foreign_keys("machine")]


def owners() -> list[tuple[str, int | None]]:
    """Return each machine code with the key of its owner."""
    rows = db.session.execute(db.select(Machine.machine_code, Machine.user_id).order_by(Machine.id))
    return [tuple(row) for row in rows]


def delete_user(aegisspeed_id: str) -> int:
    """Delete a user, and return the id."""
    user = db.session.scalar(db.select(User).filter_by(aegisspeed_id=aegisspeed_id))
    key: int = user.id
    db.session.delete(user)
    db.session.commit()
    return key


class TestMigrations:
    """The tables, as Flask-Migrate creates them."""

    def test_migrations_match_the_models(self, app: Flask) -> None:
        """After a start there is nothing to autogenerate, and the code has the only unique index."""
        with app.app_context():
            flask_migrate.check()
            indexes = inspect(db.engine).get_indexes("machine")
        assert [index["column_names"] for index in indexes if index["unique"]] == [["machine_code"]]

    def test_app_with_users_generates_the_same_table(self, apps: Apps, tmp_path: Path) -> None:
        """In an app that has users only, one generated migration creates the table of the shipped one."""
        app = apps.start()
        folder = tmp_path / "migrations"
        shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("0002_*", "__pycache__"))
        with app.app_context():
            shipped = columns_and_keys()
            flask_migrate.downgrade(revision="0001")
            assert not inspect(db.engine).has_table("machine")
            flask_migrate.migrate(directory=str(folder))
            flask_migrate.upgrade(directory=str(folder))
            assert columns_and_keys() == shipped

    def test_migrations_can_be_printed_as_sql(self, app: Flask, capsys: pytest.CaptureFixture[str]) -> None:
        """``flask db upgrade --sql`` prints the statements for review."""
        with app.app_context():
            flask_migrate.upgrade(sql=True)
        assert "CREATE UNIQUE INDEX ix_machine_machine_code" in capsys.readouterr().out

    def test_downgrade_leaves_nothing(self, app: Flask) -> None:
        """After a downgrade to the base no table is left, and an upgrade creates all of them again."""
        with app.app_context():
            flask_migrate.downgrade(revision="base")
            remaining = set(inspect(db.engine).get_table_names()) - {"sqlite_sequence"}
            assert remaining == {"alembic_version"}
            flask_migrate.upgrade()
            flask_migrate.check()

    def test_migrations_disable_no_logger(self, app: Flask) -> None:
        """A start leaves every existing logger enabled."""
        assert not logging.getLogger("flask_aegis_machines").disabled

    def test_batch_migration_of_users_loses_no_binding(
        self, app: Flask, client: FlaskClient, tmp_path: Path
    ) -> None:
        """After the table of users is recreated, every machine has its owner, and foreign keys are on."""
        folder = tmp_path / "migrations"
        shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "versions" / "0003_nickname.py").write_text(BATCH_MIGRATION)
        register(client, "ASD000001", machine_code="1" * 31 + "a")
        register(client, "ASD000002", machine_code="2" * 31 + "a")
        with app.app_context():
            before = owners()
            db.session.remove()
            flask_migrate.upgrade(directory=str(folder))
            assert "nickname" in {column["name"] for column in inspect(db.engine).get_columns("user")}
            assert owners() == before == [("1" * 31 + "a", 1), ("2" * 31 + "a", 2)]
            assert db.session.scalar(text("PRAGMA foreign_keys")) == 1

    def test_failed_migration_leaves_foreign_keys_enforced(self, app: Flask, tmp_path: Path) -> None:
        """After a migration that raises, a connection of the pool enforces foreign keys again."""
        folder = tmp_path / "migrations"
        shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
        broken = (
            BATCH_MIGRATION + "    op.execute('DELETE FROM alembic_version')\n    op.execute('nonsense')\n"
        )
        (folder / "versions" / "0003_broken.py").write_text(broken)
        with app.app_context():
            with pytest.raises(Exception, match="nonsense"):
                flask_migrate.upgrade(directory=str(folder))
            assert db.session.scalar(text("PRAGMA foreign_keys")) == 1

    def test_postgresql_gets_the_same_tables(self, apps: Apps, postgres: PostgresServer) -> None:
        """On PostgreSQL the same migrations create the tables, and a machine can be bound."""
        app = apps.start(
            SQLALCHEMY_DATABASE_URI=postgres.url("psycopg2"), JWT_SECRET_KEY="x" * 32, DEMO_USERS=True
        )
        with app.app_context():
            flask_migrate.check()
            assert register(app.test_client(), "ASD000001").status_code == 200
            db.session.remove()
            flask_migrate.downgrade(revision="base")


class TestDeletedUsers:
    """A user may be deleted; the code of the machine stays taken."""

    def test_code_of_a_deleted_user_stays_taken(self, app: Flask, client: FlaskClient) -> None:
        """Nobody can bind the machine of a deleted user, and it has no owner."""
        register(client, "ASD000001")
        delete_user("ASD000001")
        assert [owner for _, owner in owners()] == [None]
        answer = register(client, "ASD000002")
        assert (answer.status_code, answer.json["code"]) == (409, "10004")

    def test_id_of_a_deleted_user_is_not_reused(self, app: Flask, client: FlaskClient) -> None:
        """A new user gets a new id: the token of the deleted one is of nobody."""
        token = bearer(client, "ASD000002")
        deleted = delete_user("ASD000002")
        new = User(aegisspeed_id="ASD000003", id_number="0", password_hash="")
        db.session.add(new)
        db.session.commit()
        assert new.id > deleted
        body = {**demo.REQUEST_EXAMPLE, "user_AegisSpeed_id": "ASD000003"}
        assert client.post(REGISTER, json=body, headers=token).json["code"] == "10003"

    def test_foreign_keys_are_enforced(self, app: Flask, client: FlaskClient) -> None:
        """A machine of a user who does not exist is refused by the database."""
        register(client, "ASD000001")
        with pytest.raises(IntegrityError):
            db.session.execute(db.update(Machine).values(user_id=99))
        db.session.rollback()
