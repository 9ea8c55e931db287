"""The columns that a host mixes into models of its own."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, DateTime, String
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

__all__ = ["AccountMixin", "MachineMixin"]


def _exact(length: int) -> TypeEngine[str]:
    """Text that is compared exactly: MySQL and MariaDB otherwise fold case, accents and emoji."""
    exact = mysql.VARCHAR(length, collation="utf8mb4_bin")
    return String(length).with_variant(exact, "mysql").with_variant(exact, "mariadb")


def _timestamp() -> TypeEngine[Any]:
    """Return the type of a timestamp with microseconds, on MySQL and MariaDB too."""
    instant = mysql.DATETIME(fsp=6)
    return DateTime(timezone=True).with_variant(instant, "mysql").with_variant(instant, "mariadb")


class MachineMixin:
    """The columns of a bound machine.

    The host's model adds a primary key and ``user_id``, whose type is that of ``User.key``; a foreign key
    and an index on it are advised. ``machine_code`` has a unique index, ``ix_<table>_machine_code`` unless
    the host's naming convention says otherwise: that index decides who owns a code. ``attempt`` (32 hex
    digits) identifies the request that wrote a row: after a lost reply it shows whose row is found.
    """

    machine_code = Column(_exact(32), unique=True, index=True, nullable=False)
    windows_uuid = Column(_exact(255), nullable=False)
    windows_product_id = Column(_exact(255), nullable=False)
    machine_os_name = Column(_exact(255), nullable=False)
    machine_os_version = Column(_exact(255), nullable=False)
    machine_architecture = Column(_exact(255), nullable=False)
    machine_architecture_type = Column(_exact(255), nullable=False)
    machine_platform = Column(_exact(255), nullable=False)
    machine_cpu = Column(_exact(255), nullable=False)
    machine_motherboard = Column(_exact(255), nullable=False)
    machine_mac_address = Column(_exact(255), nullable=False)
    registered_at = Column(_timestamp(), nullable=False)
    attempt = Column(_exact(32), nullable=False)


class AccountMixin:
    """The columns of an account beside a user table that may not change.

    The host's model adds what identifies the user, such as a ``user_id`` with a foreign key, and names it in
    ``SQLAlchemyUserStore(identity="user_id")``.
    """

    aegisspeed_id = Column(_exact(9), unique=True, index=True, nullable=False)
    id_number = Column(_exact(64), nullable=False)
