"""Creates at the first start what later starts keep: signing key, tables and demo users.

A `flask` command that does not need the tables, such as `flask db upgrade --sql`, creates none.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import click
from filelock import FileLock
from flask import Flask
from flask.cli import ScriptInfo, run_command, shell_command
from flask_migrate import upgrade
from sqlalchemy.pool import StaticPool
from werkzeug.security import generate_password_hash

from example_app.demo import PASSWORD, USERS
from example_app.models import User, db


def prepare(app: Flask) -> None:
    """Create what is missing, once, even if several workers start at the same time on one instance folder.

    Args:
        app: The app, configured, with `models.init_app` called. `JWT_SECRET_KEY` is set if it is empty.

    Raises:
        OSError: The instance folder cannot be written to.
        sqlalchemy.exc.SQLAlchemyError: The database cannot be reached, or a migration failed.
    """
    instance = Path(app.instance_path)
    with FileLock(instance / "first_run.lock"), app.app_context():
        if not app.config["JWT_SECRET_KEY"]:
            app.config["JWT_SECRET_KEY"] = _secret_key(instance / "jwt_secret_key")
        if not _needs_tables():
            return
        upgrade()
        _seed()
        # `gunicorn --preload` forks after this, and no worker may inherit a connection. A StaticPool holds
        # an in-memory database, which is lost when its connection is closed.
        db.session.remove()
        if not isinstance(db.engine.pool, StaticPool):
            db.engine.dispose()


def _needs_tables() -> bool:
    """Return whether the app is started to be used: by a WSGI server, a test, `flask run` or `flask shell`.

    The other commands, such as `flask db` and `flask aegis-machines`, find the database as it is.
    """
    context = click.get_current_context(silent=True)
    if context is None or context.find_object(ScriptInfo) is None:
        return True
    return context.command in (run_command, shell_command)


def _secret_key(path: Path) -> str:
    path.touch(mode=0o600)  # private before the key is written
    key = path.read_text(encoding="ascii").strip()
    if not key:  # a new file, or the start that created it was killed
        key = secrets.token_hex(32)
        path.write_text(key, encoding="ascii")
    return key


def _seed() -> None:
    if db.session.scalar(db.select(User.id).limit(1)) is not None:
        return
    for aegisspeed_id, id_number in USERS.items():
        password_hash = generate_password_hash(PASSWORD)
        db.session.add(User(aegisspeed_id=aegisspeed_id, id_number=id_number, password_hash=password_hash))
    db.session.commit()
