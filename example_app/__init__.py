"""A small host: users, login and a database of its own, and the machine endpoints mounted beside them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from flask import Flask
from flask.json.provider import DefaultJSONProvider

from example_app import api, demo, first_run, login, page
from example_app.models import Machine, User, db, migrate
from flask_aegis_machines import create_blueprint
from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore, SQLAlchemyUserStore

__all__ = ["create_app"]


class InOrder(DefaultJSONProvider):
    """Writes JSON with its keys in the order of the API document."""

    sort_keys = False


def create_app(config: Mapping[str, object] | None = None, *, instance_path: str | None = None) -> Flask:
    """Build the app, and on the first start everything that it needs to run.

    Args:
        config: Settings that win over the environment, where every setting is read as `FLASK_<NAME>`.
        instance_path: The absolute path of the folder for the database and the signing key; else
            `FLASK_INSTANCE_PATH`, else Flask's own choice, `instance` beside this package.

    Returns:
        The app, ready to serve.

    Raises:
        OSError: The instance folder cannot be made or written to.
        sqlalchemy.exc.SQLAlchemyError: The database cannot be reached, or refuses the tables or the users.
        ValueError: The path of the instance folder is not absolute.
    """
    app = Flask(__name__, instance_path=instance_path or os.environ.get("FLASK_INSTANCE_PATH") or None)
    app.json = InOrder(app)
    Path(app.instance_path).mkdir(mode=0o700, parents=True, exist_ok=True)
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{Path(app.instance_path) / 'example.db'}"
    app.config.from_prefixed_env()
    if secret := os.environ.get("FLASK_JWT_SECRET_KEY"):
        app.config["JWT_SECRET_KEY"] = secret  # from_prefixed_env made a number of a key that is all digits
    app.config.from_mapping(config)

    db.init_app(app)
    migrate.init_app(app)
    login.jwt.init_app(app)
    first_run.prepare(app)

    app.register_blueprint(page.blueprint)
    app.register_blueprint(api.blueprint)
    app.register_blueprint(login.blueprint)
    app.register_blueprint(
        create_blueprint(
            users=SQLAlchemyUserStore(
                db.session, User, identity="id", aegisspeed_id="aegisspeed_id", id_number="id_number"
            ),
            machines=SQLAlchemyMachineStore(db.session, Machine),
        )
    )

    demo.print_hint()
    return app
