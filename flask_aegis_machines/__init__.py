"""A Flask blueprint that binds a machine to a user's account: one owner per machine code, for ever."""

from ._errors import (
    AegisMachinesError,
    ConfigurationError,
    MachineCodeTaken,
    StoreFailure,
    Unauthorized,
    UserNotFound,
)
from ._records import Machine, Owner, User
from ._validation import machine_from_document
from .blueprint import create_blueprint
from .identity import bearer, jwt_identity, login_identity
from .stores import MachineStore, UserStore

__all__ = [
    "AegisMachinesError",
    "ConfigurationError",
    "Machine",
    "MachineCodeTaken",
    "MachineStore",
    "Owner",
    "StoreFailure",
    "Unauthorized",
    "User",
    "UserNotFound",
    "UserStore",
    "bearer",
    "create_blueprint",
    "jwt_identity",
    "login_identity",
    "machine_from_document",
]
