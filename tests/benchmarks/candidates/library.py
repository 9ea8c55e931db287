"""The library, mounted as the README mounts it."""

from __future__ import annotations

import os

from flask import Flask
from flask_jwt_extended import JWTManager

from flask_aegis_machines import create_blueprint
from flask_aegis_machines.identity import Authenticate, jwt_identity
from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore, SQLAlchemyUserStore
from tests.benchmarks.contract import DATABASE_VARIABLE, SECRET

from .models import Machine, User, db


def create_app(authenticate: Authenticate = jwt_identity) -> Flask:
    """Build the app."""
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ[DATABASE_VARIABLE]
    app.config["JWT_SECRET_KEY"] = SECRET
    db.init_app(app)
    JWTManager(app)
    app.register_blueprint(
        create_blueprint(
            users=SQLAlchemyUserStore(
                db.session, User, identity="id", aegisspeed_id="aegisspeed_id", id_number="id_number"
            ),
            machines=SQLAlchemyMachineStore(db.session, Machine),
            authenticate=authenticate,
        )
    )
    return app
