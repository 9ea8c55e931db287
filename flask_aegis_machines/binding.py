"""The rules, without Flask: who may bind which machine."""

from __future__ import annotations

from .errors import AegisSpeedIdMismatch, MachineCodeTaken, UserNotFound
from .records import Machine, User
from .stores import MachineStore

__all__ = ["register", "require_caller"]


def require_caller(user: User | None, aegisspeed_id: str) -> User:
    """Require that the token's user exists and is the one who is asked for.

    There is one look-up, by the token's identity: a stranger's ID is refused alike whether or not it exists.

    Args:
        user: The user whom the token's identity led to.
        aegisspeed_id: The ID in the request.

    Returns:
        The user.

    Raises:
        UserNotFound: There is none.
        AegisSpeedIdMismatch: The user's AegisSpeed ID is another one.
    """
    if user is None:
        raise UserNotFound
    if user.aegisspeed_id != aegisspeed_id:
        raise AegisSpeedIdMismatch
    return user


def register(machines: MachineStore, machine: Machine, user: User, *, repeat_by_owner: bool) -> None:
    """Bind a machine to a user.

    Args:
        machines: Where machines are kept.
        machine: The machine.
        user: Who is to own it.
        repeat_by_owner: Whether the owner of a code who registers it again is told "yes"; nothing is stored.

    Raises:
        MachineCodeTaken: The code is bound already.
        UserNotFound: The user has vanished since the look-up.
        Exception: The store failed.
    """
    try:
        machines.bind(machine, user)
    except MachineCodeTaken as taken:
        if not (repeat_by_owner and taken.by_same_user):
            raise
