"""Creates at the first start what later starts keep: signing key, database, tables and demo users.

With `SQLALCHEMY_DATABASE_URI` set, it creates only the tables, and demo users only if `DEMO_USERS` is true.
Its lock is a file, which other hosts do not see: if several hosts share a database, run
`flask --app example_app db upgrade` once before they start.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import click
from filelock import FileLock
from flask import Flask
from flask.cli import ScriptInfo, run_command, shell_command
from flask_migrate import upgrade
from sqlalchemy.engine import URL
from sqlalchemy.pool import StaticPool
from werkzeug.security import generate_password_hash

from example_app.demo import PASSWORD, USERS
from example_app.models import User, db

LOCK = "first_run.lock"
NO_KEY = (
    "SQLALCHEMY_DATABASE_URI is set, but JWT_SECRET_KEY is not. Hosts that share the database would reject "
    "each other's tokens. Set JWT_SECRET_KEY (in the environment, FLASK_JWT_SECRET_KEY) to the same random "
    "secret of at least 32 bytes on each host."
)


def set_defaults(app: Flask) -> None:
    """Set what the configuration leaves out: a database and a signing key in the instance folder, demo users.

    Args:
        app: The app, configured. Its instance folder exists.

    Raises:
        OSError: The instance folder cannot be written to.
        ValueError: The configuration has a database URL and no signing key.
    """
    has_database = bool(app.config.get("SQLALCHEMY_DATABASE_URI"))
    has_key = bool(app.config.get("JWT_SECRET_KEY"))
    if has_database and not has_key:
        raise ValueError(NO_KEY)
    instance = Path(app.instance_path)
    if not has_database:
        database = str(instance / "example.db")
        app.config["SQLALCHEMY_DATABASE_URI"] = URL.create("sqlite", database=database)
    if not has_key:
        with FileLock(instance / LOCK):
            app.config["JWT_SECRET_KEY"] = _secret_key(instance / "jwt_secret_key")
    app.config.setdefault("DEMO_USERS", not has_database)


def needs_tables() -> bool:
    """Return whether the app is started to be used: by a WSGI server, a test, `flask run` or `flask shell`.

    The other commands, such as `flask db` and `flask aegis-machines`, must find the database as it is.
    """
    context = click.get_current_context(silent=True)
    if context is None or context.find_object(ScriptInfo) is None:
        return True
    return context.command in (run_command, shell_command)


def create_tables(app: Flask) -> None:
    """Run the migrations and add the demo users, once, even if several workers start at the same time.

    Args:
        app: The app, with `set_defaults` and `models.init_app` called.

    Raises:
        OSError: The instance folder cannot be written to.
        sqlalchemy.exc.SQLAlchemyError: The database cannot be reached, or a migration failed.
    """
    with FileLock(Path(app.instance_path) / LOCK), app.app_context():
        upgrade()
        if app.config["DEMO_USERS"]:
            _add_demo_users()
        # `gunicorn --preload` forks after this, and no worker may inherit a connection. A StaticPool holds
        # an in-memory database, which is lost when its connection is closed.
        db.session.remove()
        if not isinstance(db.engine.pool, StaticPool):
            db.engine.dispose()


def _secret_key(path: Path) -> str:
    path.touch(mode=0o600)  # private before the key is written
    key = path.read_text(encoding="ascii").strip()
    if not key:  # a new file, or the start that created it was killed
        key = secrets.token_hex(32)
        path.write_text(key, encoding="ascii")
    return key


def _add_demo_users() -> None:
    """Add the demo users to a database without users: one that was deleted stays deleted."""
    if db.session.scalar(db.select(User.id).limit(1)) is not None:
        return
    for aegisspeed_id, id_number in USERS.items():
        password_hash = generate_password_hash(PASSWORD)
        db.session.add(User(aegisspeed_id=aegisspeed_id, id_number=id_number, password_hash=password_hash))
    db.session.commit()
