"""The rules, without Flask: who may bind which machine."""

from __future__ import annotations

from ._errors import AegisSpeedIdMismatch, MachineCodeTaken, UserNotFound
from ._records import Machine, User
from .stores import MachineStore

__all__ = ["page", "register", "require_available", "require_caller"]


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


def register(machines: MachineStore, machine: Machine, user: User, *, repeat_by_owner: bool) -> bool:
    """Bind a machine to a user.

    Args:
        machines: Where machines are kept.
        machine: The machine.
        user: Who is to own it.
        repeat_by_owner: Whether the owner of a code who registers it again is told "yes"; nothing is stored.

    Returns:
        Whether the machine was bound now; ``False`` for a repetition by its owner.

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
        return False
    return True


def require_available(machines: MachineStore, machine_code: str) -> None:
    """Require that a machine code is still free; it may be taken a moment later.

    Args:
        machines: Where machines are kept.
        machine_code: The code.

    Raises:
        MachineCodeTaken: It is bound already.
        Exception: The store failed.
    """
    if machines.owner_of(machine_code) is not None:
        raise MachineCodeTaken


def page(
    machines: MachineStore, user: User, *, after: str | None, limit: int
) -> tuple[list[Machine], str | None]:
    """Read one page of a user's machines, oldest first.

    Machines that were there when the first page was read are on the pages exactly once. One that is being
    bound meanwhile may be missing until the pages are read anew.

    Args:
        machines: Where machines are kept.
        user: The owner.
        after: Code of the last machine of the page before; ``None`` for the first page.
        limit: How many machines at most, from 1.

    Returns:
        The machines, and what to pass as ``after`` for the next page; ``None`` where there is none.

    Raises:
        Exception: The store failed.
    """
    found = machines.list_for(user, after=after, limit=limit + 1)
    more = len(found) > limit
    found = found[:limit]
    return found, found[-1].machine_code if more else None
