"""Models of a host without Flask-SQLAlchemy, and values for their rows."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from sqlalchemy import Column, ForeignKey, Index, Integer
from sqlalchemy.orm import declarative_base

from flask_aegis_machines.stores.sqlalchemy import AccountMixin, MachineMixin

Base: Any = declarative_base()


class Account(AccountMixin, Base):
    """A user of the host's."""

    __tablename__ = "account"
    id = Column(Integer, primary_key=True, autoincrement=False)


class Machine(MachineMixin, Base):
    """A machine of a user's."""

    __tablename__ = "machine"
    id = Column(Integer, primary_key=True)
    user_id = Column(ForeignKey("account.id"), nullable=False)
    __table_args__ = (Index("ix_machine_page", "user_id", "registered_at", "machine_code"),)


NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
#: A machine code that ``make_machine()`` does not make.
OTHER = "1" * 31 + "x"
