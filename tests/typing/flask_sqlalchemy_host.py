"""The mount of the README, as a host with mypy --strict writes it: the ignores are for Flask-SQLAlchemy."""

import sqlite3

from flask import Flask
from flask_jwt_extended import JWTManager
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event

from flask_aegis_machines import create_blueprint
from flask_aegis_machines.stores.sqlalchemy import MachineMixin, SQLAlchemyMachineStore, SQLAlchemyUserStore

db = SQLAlchemy()


class User(db.Model):  # type: ignore[misc,name-defined]
    id = db.Column(db.Integer, primary_key=True)
    aegisspeed_id = db.Column(db.String(9), unique=True)
    id_number = db.Column(db.String(18))
    __table_args__ = {"sqlite_autoincrement": True}  # the id of a deleted user is not given to the next one


class Machine(MachineMixin, db.Model):  # type: ignore[misc,name-defined]
    id = db.Column(db.Integer, primary_key=True)
    user_id = db.Column(db.ForeignKey("user.id", ondelete="SET NULL"))  # a code stays taken without its user
    __table_args__ = (db.Index("ix_machine_page", "user_id", "registered_at", "machine_code"),)


def create_app(database: str = "sqlite:///app.db") -> Flask:
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = database
    app.config["JWT_SECRET_KEY"] = "change me: a secret of at least 32 bytes"
    db.init_app(app)
    JWTManager(app)
    with app.app_context():
        event.listen(db.engine, "connect", enforce_foreign_keys)
    app.register_blueprint(
        create_blueprint(
            users=SQLAlchemyUserStore(
                db.session, User, identity="id", aegisspeed_id="aegisspeed_id", id_number="id_number"
            ),
            machines=SQLAlchemyMachineStore(db.session, Machine),
        )
    )
    return app


def enforce_foreign_keys(connection: object, _record: object) -> None:
    if isinstance(connection, sqlite3.Connection):  # off by default on SQLite
        connection.execute("PRAGMA foreign_keys = ON")
