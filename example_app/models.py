"""The tables of the app: its users, and the machines that they bind. The migrations create them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event

from flask_aegis_machines.stores.sqlalchemy import AccountMixin, MachineMixin

db = SQLAlchemy()
migrate = Migrate(db=db, directory=str(Path(__file__).parent / "migrations"))

# Without AUTOINCREMENT, SQLite gives the id of a deleted row to the next one.
NO_ID_TWICE = {"sqlite_autoincrement": True}


class User(AccountMixin, db.Model):
    """Somebody who can sign in. The mixin adds the AegisSpeed ID and the ID number."""

    id = db.Column(db.Integer, primary_key=True)
    password_hash = db.Column(db.String(255), nullable=False)
    __table_args__ = NO_ID_TWICE


class Machine(MachineMixin, db.Model):
    """A machine, bound permanently: its code stays taken when its owner is deleted."""

    id = db.Column(db.Integer, primary_key=True)
    user_id = db.Column(db.ForeignKey("user.id", ondelete="SET NULL"))
    __table_args__ = (db.Index("ix_machine_page", "user_id", "registered_at", "machine_code"), NO_ID_TWICE)


def init_app(app: Flask) -> None:
    """Connect an app to its database, with foreign keys enforced.

    Args:
        app: The app, whose `SQLALCHEMY_DATABASE_URI` is set.
    """
    db.init_app(app)
    migrate.init_app(app)
    with app.app_context():
        event.listen(db.engine, "connect", _enforce_foreign_keys)


def _enforce_foreign_keys(connection: object, _record: object) -> None:
    """Turn foreign keys on for a new connection: on SQLite they are off by default."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA foreign_keys = ON")
