"""The library, mounted as the README mounts it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeAlias

from flask import Flask
from flask_jwt_extended import JWTManager
from sqlalchemy.orm import Session

from flask_aegis_machines import create_blueprint
from flask_aegis_machines.identity import Authenticate, jwt_identity
from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore, SQLAlchemyUserStore
from tests.benchmarks.contract import DATABASE_VARIABLE, SECRET

from .models import Machine, User, db

SessionFactory: TypeAlias = Callable[[], Session]


def create_app(authenticate: Authenticate = jwt_identity, session: SessionFactory = db.session) -> Flask:
    """Build the app.

    Args:
        authenticate: Identifies the caller.
        session: Makes the sessions of the stores.
    """
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ[DATABASE_VARIABLE]
    app.config["JWT_SECRET_KEY"] = SECRET
    db.init_app(app)
    JWTManager(app)
    app.register_blueprint(
        create_blueprint(
            users=SQLAlchemyUserStore(
                session, User, identity="id", aegisspeed_id="aegisspeed_id", id_number="id_number"
            ),
            machines=SQLAlchemyMachineStore(session, Machine),
            authenticate=authenticate,
        )
    )
    return app
