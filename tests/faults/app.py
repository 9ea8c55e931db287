"""The app that is served while servers are killed: the endpoints, tokens for its two users, and its pool.

Its engine is used before the workers are forked, and is not disposed of: they inherit open connections.
"""

from __future__ import annotations

import os

from flask import Flask, request
from flask_jwt_extended import JWTManager, create_access_token
from sqlalchemy import create_engine, select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session, sessionmaker

from flask_aegis_machines import create_blueprint
from flask_aegis_machines.identity import Authenticate, jwt_identity
from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore, SQLAlchemyUserStore
from tests.support.hosts import FIRST, SECOND, USER_COLUMNS
from tests.support.models import Account, Base, Machine

DATABASE_VARIABLE = "AEGIS_MACHINES_TEST_DATABASE"
FOLDER_VARIABLE = "AEGIS_MACHINES_TEST_FOLDER"


def create_app() -> Flask:
    """Build the app."""
    return build(create_engine(os.environ[DATABASE_VARIABLE]))


def create_autocommit_app() -> Flask:
    """Build the app with stores on an engine whose every statement is a transaction."""
    return build(create_engine(os.environ[DATABASE_VARIABLE], isolation_level="AUTOCOMMIT"))


def create_reading_app() -> Flask:
    """Build the app with an authentication that reads the database first, as a blocklist does."""
    engine = create_engine(os.environ[DATABASE_VARIABLE])

    def authenticate() -> object:
        identity = jwt_identity()
        with Session(engine) as session:
            key = session.execute(select(Account.id).where(Account.id == int(str(identity)))).scalar_one()
        return None if str(key) != identity else identity

    return build(engine, authenticate)


def build(
    engine: Engine, authenticate: Authenticate = jwt_identity, store: type = SQLAlchemyMachineStore
) -> Flask:
    """Build the app on an engine."""
    app = Flask(__name__)
    app.config["JWT_SECRET_KEY"] = "a secret of the tests, of more than 32 bytes"
    JWTManager(app)
    users, machines = stores(engine, store)
    app.register_blueprint(create_blueprint(users=users, machines=machines, authenticate=authenticate))

    @app.post("/login")
    def login() -> dict[str, str]:
        identities = {user.aegisspeed_id: str(user.key) for user in (FIRST, SECOND)}
        return {"access_token": create_access_token(identities[request.get_json()["user_AegisSpeed_id"]])}

    @app.get("/pool")
    def pool() -> dict[str, int]:
        return {"pid": os.getpid(), "checked_out": engine.pool.checkedout()}

    return app


def stores(
    engine: Engine, store: type = SQLAlchemyMachineStore
) -> tuple[SQLAlchemyUserStore, SQLAlchemyMachineStore]:
    """Make the tables and the two users where they are missing; return the stores on them."""
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        if session.get(Account, FIRST.key) is None:
            for user in (FIRST, SECOND):
                account = Account(id=user.key, aegisspeed_id=user.aegisspeed_id, id_number=user.id_number)
                session.add(account)
            session.commit()
    with engine.connect(), engine.connect(), engine.connect():
        pass  # so many connections a worker inherits, which is forked from here
    sessions = sessionmaker(engine)
    return SQLAlchemyUserStore(sessions, Account, **USER_COLUMNS), store(sessions, Machine)
