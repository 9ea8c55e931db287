"""The host's tables: its users, and the machines that they bind."""

from __future__ import annotations

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.dialects import mysql

from flask_aegis_machines.stores.sqlalchemy import MachineMixin

db = SQLAlchemy()

# MySQL and MariaDB take "asd000001" for "ASD000001" unless the collation is binary.
AEGISSPEED_ID = db.String(9).with_variant(mysql.VARCHAR(9, collation="utf8mb4_bin"), "mysql", "mariadb")


class User(db.Model):
    """Somebody who can sign in."""

    id = db.Column(db.Integer, primary_key=True)
    aegisspeed_id = db.Column(AEGISSPEED_ID, unique=True, nullable=False)
    id_number = db.Column(db.String(18), nullable=False)
    password_hash = db.Column(db.String(255), nullable=False)


class Machine(MachineMixin, db.Model):
    """A machine, bound to one user for ever."""

    id = db.Column(db.Integer, primary_key=True)
    user_id = db.Column(db.ForeignKey("user.id"), nullable=False, index=True)
