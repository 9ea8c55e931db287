"""The migrations of the host make what its models declare."""

from __future__ import annotations

import flask_migrate
from sqlalchemy import inspect

from tests.support.commands import invoke
from tests.support.realistic import Host

from .app.models import db


def test_the_migrations_make_what_the_models_declare(host: Host) -> None:
    """Autogenerate finds no difference after the migrations."""
    with host.app.app_context():
        flask_migrate.check()


def test_the_migrations_can_be_undone(host: Host) -> None:
    """The machines go first, then the accounts, and both come back."""
    with host.app.app_context():
        flask_migrate.downgrade()
        assert "machine" not in inspect(db.engine).get_table_names()
        assert "user" in inspect(db.engine).get_table_names()
        flask_migrate.downgrade()
        assert inspect(db.engine).get_table_names() == ["alembic_version"]
        flask_migrate.upgrade()
    host.add_user()
    assert host.codes() == []


def test_doctor_finds_nothing_on_the_migrated_tables(host: Host) -> None:
    """The deployment gate passes, with a trial of the whole binding."""
    host.add_user()
    result = invoke(host.app, "doctor", "--trial")
    assert result.exit_code == 0, result.output
    assert result.output == "config: ok\ntokens: ok\nusers: ok\nmachines: ok\ntrial: ok\n"
