"""Stores on the SQLAlchemy models of the host, with or without Flask-SQLAlchemy, from SQLAlchemy 1.4 on."""

from ._machine_store import SQLAlchemyMachineStore
from ._mixins import AccountMixin, MachineMixin
from ._user_store import SQLAlchemyUserStore

__all__ = ["AccountMixin", "MachineMixin", "SQLAlchemyMachineStore", "SQLAlchemyUserStore"]
