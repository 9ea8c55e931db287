"""A Flask blueprint that binds a machine to a user's account: one owner per machine code."""

from ._answers import Answer
from ._errors import (
    AegisMachinesError,
    ConfigurationError,
    InvalidRequest,
    MachineCodeTaken,
    Refusal,
    StoreFailure,
    Unauthorized,
    UserNotFound,
)
from ._records import Machine, Owner, User
from ._request_schemas import machine_from_document
from .blueprint import create_blueprint
from .identity import bearer, ending_session, jwt_identity, login_identity
from .stores import MachineStore, UserStore

__all__ = [
    "AegisMachinesError",
    "Answer",
    "ConfigurationError",
    "InvalidRequest",
    "Machine",
    "MachineCodeTaken",
    "MachineStore",
    "Owner",
    "Refusal",
    "StoreFailure",
    "Unauthorized",
    "User",
    "UserNotFound",
    "UserStore",
    "bearer",
    "create_blueprint",
    "ending_session",
    "jwt_identity",
    "login_identity",
    "machine_from_document",
]
