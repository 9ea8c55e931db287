"""The tables. Every row belongs to an organisation, the tenant."""

from __future__ import annotations

import uuid
from datetime import datetime, timezone
from pathlib import Path

from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import DateTime, ForeignKey, Index, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_aegis_machines.stores.sqlalchemy import MachineMixin


class Base(DeclarativeBase):
    """Names every constraint, so that a migration can change it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


db = SQLAlchemy(model_class=Base)
migrate = Migrate(db=db, directory=str(Path(__file__).parent / "migrations"))


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(timezone.utc)


class TenantMixin:
    """A primary key, and the organisation that a row belongs to."""

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organisation.id"), index=True)


class Organisation(db.Model):
    """A tenant."""

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    name: Mapped[str] = mapped_column(String(100))


class User(TenantMixin, db.Model):
    """Somebody who can sign in."""

    email: Mapped[str] = mapped_column(String(254), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    is_active: Mapped[bool] = mapped_column(default=True)
    aegisspeed_id: Mapped[str] = mapped_column(String(9), unique=True)
    id_number: Mapped[str] = mapped_column(String(18))


class RevokedToken(TenantMixin, db.Model):
    """A token of somebody who has signed out."""

    jti: Mapped[str] = mapped_column(String(36), unique=True)


class Machine(MachineMixin, TenantMixin, db.Model):
    """A machine that a user has bound."""

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"))
    __table_args__ = (Index(None, "user_id", "registered_at", "machine_code"),)


class AuditEntry(TenantMixin, db.Model):
    """Who did what, and when."""

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"), index=True)
    action: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(40))
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now)
