"""A small Flask app with users, login and database, and the machine endpoints mounted in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from flask import Flask
from flask.json.provider import DefaultJSONProvider

from example_app import api, demo, first_run, login, models, page
from example_app.models import Machine, User, db
from flask_aegis_machines import create_blueprint
from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore, SQLAlchemyUserStore

__all__ = ["create_app"]


class OrderedJSONProvider(DefaultJSONProvider):
    """Keeps the keys of JSON in the order of the API document."""

    sort_keys = False


def create_app(config: Mapping[str, object] | None = None, *, instance_path: str | None = None) -> Flask:
    """Create the app. The first start also creates its signing key, tables and demo users.

    `flask` commands other than `run` and `shell` create no tables or users, and run no migrations.

    Args:
        config: Settings that take precedence over the environment, where each is read as `FLASK_<NAME>`.
            With `SQLALCHEMY_DATABASE_URI`, `JWT_SECRET_KEY` is required and `DEMO_USERS` is false by default.
        instance_path: The absolute path of the folder for the database and the signing key. Default:
            `FLASK_INSTANCE_PATH`, or Flask's default, the folder `instance` beside this package.

    Returns:
        The app.

    Raises:
        OSError: The instance folder cannot be created or written to.
        sqlalchemy.exc.SQLAlchemyError: The database cannot be reached, or a migration failed.
        ValueError: The path of the instance folder is not absolute, or the configuration has a database URL
            and no `JWT_SECRET_KEY`.
    """
    app = Flask(__name__, instance_path=instance_path or os.environ.get("FLASK_INSTANCE_PATH") or None)
    app.json = OrderedJSONProvider(app)
    Path(app.instance_path).mkdir(mode=0o700, parents=True, exist_ok=True)
    app.config["MAX_CONTENT_LENGTH"] = 64 * 1024  # bytes: the login reads the whole body
    app.config.from_prefixed_env()
    if secret := os.environ.get("FLASK_JWT_SECRET_KEY"):
        app.config["JWT_SECRET_KEY"] = secret  # from_prefixed_env turns a key of digits into a number
    app.config.from_mapping(config)
    first_run.set_defaults(app)

    models.init_app(app)
    login.jwt.init_app(app)
    if first_run.needs_tables():
        first_run.create_tables(app)

    app.after_request(page.add_security_headers)
    app.register_blueprint(page.blueprint)
    app.register_blueprint(api.blueprint)
    app.register_blueprint(api.viewer)
    app.register_blueprint(login.blueprint)
    app.register_blueprint(
        create_blueprint(
            users=SQLAlchemyUserStore(
                db.session, User, identity="id", aegisspeed_id="aegisspeed_id", id_number="id_number"
            ),
            machines=SQLAlchemyMachineStore(db.session, Machine),
        )
    )

    if app.config["DEMO_USERS"]:
        demo.print_hint()
    return app
