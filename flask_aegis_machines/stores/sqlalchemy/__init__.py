"""Stores on a host's own SQLAlchemy models, with or without Flask-SQLAlchemy, from SQLAlchemy 1.4 on."""

from .columns import AccountMixin, MachineMixin
from .machines import SQLAlchemyMachineStore
from .users import SQLAlchemyUserStore

__all__ = ["AccountMixin", "MachineMixin", "SQLAlchemyMachineStore", "SQLAlchemyUserStore"]
