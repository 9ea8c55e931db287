"""Calls the hooks of the host, and checks what they leave behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from sqlalchemy.engine import Connection

from flask_aegis_machines._errors import ConfigurationError, MachineCodeTaken, Refusal
from flask_aegis_machines._records import Machine, User
from flask_aegis_machines._sync_functions import require_finished

from ._unit_of_work import UnitOfWork

__all__ = ["ENDED", "Values", "Within", "call_values", "call_within"]

Within: TypeAlias = Callable[[Connection, Machine, User], object]
Values: TypeAlias = Callable[[Machine, User], Mapping[str, Any]]

_ANOTHER_CODE = (
    "{} raised MachineCodeTaken, which says that this store has the code: raise a subclass of Refusal with a "
    "code of your own."
)
#: Why a hook that ended the transaction of a binding has failed.
ENDED = (
    "within= ended the transaction of the binding, outcome unknown: it must not commit or roll back, nor "
    "send what the server commits at once, such as CREATE TABLE on MySQL."
)


def call_within(within: Within, unit: UnitOfWork, machine: Machine, user: User) -> None:
    """Run ``within=`` in the transaction of a binding.

    Args:
        within: The hook of the host.
        unit: The connection of this try, on which the row was inserted.
        machine: The machine.
        user: The owner.

    Raises:
        Refusal: The hook refused.
        ConfigurationError: The hook cannot work: it ended the transaction, or nothing of it has run.
        Exception: The hook failed.
    """
    try:
        require_finished("within", within(unit.connection, machine, user))
    except Refusal as refusal:
        _require_own_code("within=", refusal)
        raise
    if unit.was_ended_by_hook:
        raise ConfigurationError(ENDED)


def call_values(values: Values, machine: Machine, user: User, names: Mapping[str, Any]) -> Mapping[str, Any]:
    """Ask ``values=`` for the values of the other columns.

    Args:
        values: The hook of the host.
        machine: The machine.
        user: The owner.
        names: The names that it may use, as keys.

    Returns:
        The values by attribute of the model.

    Raises:
        Refusal: The hook refused.
        ConfigurationError: The hook returned no such dictionary.
        Exception: The hook failed.
    """
    try:
        given = values(machine, user)
    except Refusal as refusal:
        _require_own_code("values=", refusal)
        raise
    require_finished("values", given)
    # What it returned instead may be a value of the machine, so it is in no message.
    if not isinstance(given, Mapping) or not set(given) <= set(names):
        raise ConfigurationError(
            f"values= must return a dictionary, by attribute of the model: {', '.join(sorted(names))}."
        )
    return given


def _require_own_code(hook: str, refusal: Refusal) -> None:
    """Refuse what would be read as: the owner has bound this code before."""
    if isinstance(refusal, MachineCodeTaken):
        raise ConfigurationError(_ANOTHER_CODE.format(hook)) from None
