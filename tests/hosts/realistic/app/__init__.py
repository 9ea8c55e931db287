"""An app that a team has already, and the machine endpoints in it: ``machines.py`` is all that they take."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Flask

from . import accounts, commands, machines, problems
from .models import db, migrate

__all__ = ["create_app"]


def create_app(config: Mapping[str, object] | None = None) -> Flask:
    """Build the app.

    Args:
        config: Settings that win over the environment, where each is read as ``FLASK_<NAME>``.

    Returns:
        The app, ready to serve once ``flask db upgrade`` has made its tables.
    """
    app = Flask(__name__)
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_pre_ping": True}
    app.config.from_prefixed_env()
    app.config.from_mapping(config)

    db.init_app(app)
    migrate.init_app(app)
    accounts.jwt.init_app(app)
    problems.handle_errors(app)
    app.cli.add_command(commands.bind_machine)

    app.register_blueprint(accounts.blueprint)
    app.register_blueprint(machines.blueprint)
    return app
