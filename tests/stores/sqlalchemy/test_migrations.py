"""The tables by migrations of the host's, as Flask-Migrate writes and applies them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sqlalchemy import inspect
from sqlalchemy.engine import Engine

from .models import Base

HOST = """
import sys

import flask_migrate
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_aegis_machines.stores.sqlalchemy import AccountMixin, MachineMixin

app = Flask("host")
app.config["SQLALCHEMY_DATABASE_URI"] = sys.argv[1]
db = SQLAlchemy(app)


class Account(AccountMixin, db.Model):
    id = db.Column(db.Integer, primary_key=True)


class Machine(MachineMixin, db.Model):
    id = db.Column(db.Integer, primary_key=True)
    user_id = db.Column(db.ForeignKey("account.id"), nullable=False, index=True)


flask_migrate.Migrate(app, db)
with app.app_context():
    flask_migrate.init()
    flask_migrate.migrate()
    flask_migrate.upgrade()
    flask_migrate.migrate()
"""


def test_autogenerate_sees_no_difference_after_its_own_migration(engine: Engine, tmp_path: Path) -> None:
    """What the mixins declare is what a migration makes, key and collation included, and stays so."""
    Base.metadata.drop_all(engine)
    (tmp_path / "host.py").write_text(HOST)
    command = [sys.executable, "host.py", engine.url.render_as_string(hide_password=False)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "No changes in schema detected" in done.stderr
    assert len(list((tmp_path / "migrations" / "versions").glob("*.py"))) == 1
    engine.dispose()  # SQLite remembers the schema of a connection
    keys = {
        key["name"]: key["column_names"] for key in inspect(engine).get_indexes("machine") if key["unique"]
    }
    assert keys == {"ix_machine_machine_code": ["machine_code"]}
    if engine.dialect.name == "mysql":
        collations = {
            column["name"]: getattr(column["type"], "collation", None)
            for column in inspect(engine).get_columns("machine")
        }
        assert collations["machine_code"] == "utf8mb4_bin"
