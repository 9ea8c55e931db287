"""The host's tables: its users, and the machines that they bind. Migrations make them."""

from __future__ import annotations

from pathlib import Path

from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

from flask_aegis_machines.stores.sqlalchemy import AccountMixin, MachineMixin

db = SQLAlchemy()
migrate = Migrate(db=db, directory=str(Path(__file__).parent / "migrations"))


class User(AccountMixin, db.Model):
    """Somebody who can sign in; the mixin brings the AegisSpeed ID and the ID number."""

    id = db.Column(db.Integer, primary_key=True)
    password_hash = db.Column(db.String(255), nullable=False)


class Machine(MachineMixin, db.Model):
    """A machine, bound to one user for ever."""

    id = db.Column(db.Integer, primary_key=True)
    user_id = db.Column(db.ForeignKey("user.id"), nullable=False)
    __table_args__ = (db.Index("ix_machine_page", "user_id", "registered_at", "machine_code"),)
