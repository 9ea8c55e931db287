"""The tables, which all candidates share, as a Flask app has them."""

from __future__ import annotations

from typing import Any

from flask_sqlalchemy import SQLAlchemy

from flask_aegis_machines.stores.sqlalchemy import MachineMixin

db: Any = SQLAlchemy()


class User(db.Model):
    """A user."""

    id = db.Column(db.Integer, primary_key=True)
    aegisspeed_id = db.Column(db.String(9), unique=True)
    id_number = db.Column(db.String(18))


class Machine(MachineMixin, db.Model):
    """A machine of a user's."""

    id = db.Column(db.Integer, primary_key=True)
    user_id = db.Column(db.ForeignKey("user.id"), nullable=False)
    __table_args__ = (db.Index("ix_machine_page", "user_id", "registered_at", "machine_code"),)
