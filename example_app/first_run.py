"""What the first start makes and later ones keep: signing key, tables and demo users."""

from __future__ import annotations

import secrets
from pathlib import Path

from filelock import FileLock
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy.pool import StaticPool
from werkzeug.security import generate_password_hash

from example_app.demo import PASSWORD, USERS
from example_app.models import User, db


def prepare(app: Flask) -> None:
    """Make what is missing, once, however many workers start at the same moment on this instance folder.

    Args:
        app: The app, configured and known to `db` and `migrate`. It gets a `JWT_SECRET_KEY` if it has none.

    Raises:
        OSError: The instance folder cannot be written to.
        sqlalchemy.exc.SQLAlchemyError: The database cannot be reached, or refuses the tables or the users.
    """
    instance = Path(app.instance_path)
    with FileLock(instance / "first_run.lock"), app.app_context():
        if not app.config["JWT_SECRET_KEY"]:
            app.config["JWT_SECRET_KEY"] = _secret_key(instance / "jwt_secret_key")
        upgrade()
        _seed()
        # `gunicorn --preload` forks after this: no worker may inherit a connection. A StaticPool is the
        # database in memory itself, and closing it would lose the tables.
        db.session.remove()
        if not isinstance(db.engine.pool, StaticPool):
            db.engine.dispose()


def _secret_key(path: Path) -> str:
    path.touch(mode=0o600)  # closed to others before the key is in it
    key = path.read_text(encoding="ascii").strip()
    if not key:  # a new file, or a start that was killed before it wrote
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
