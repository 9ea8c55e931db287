"""The rules, without Flask."""

from __future__ import annotations

import pytest

from flask_aegis_machines import MachineCodeTaken, User, UserNotFound
from flask_aegis_machines._binding import register, require_caller
from flask_aegis_machines._errors import AegisSpeedIdMismatch
from flask_aegis_machines.stores.memory import MemoryMachineStore
from flask_aegis_machines.testing import make_machine

OWNER = User(1, "ASD000001", "110101199003071234")
STRANGER = User(2, "ASD000002", "220202199104082345")


def test_the_caller_is_the_token_s_user() -> None:
    """The AegisSpeed ID asked for must be the token user's own, compared exactly."""
    assert require_caller(OWNER, "ASD000001") is OWNER
    for other in ("ASD000002", "asd000001"):
        with pytest.raises(AegisSpeedIdMismatch):
            require_caller(OWNER, other)


def test_nobody_is_not_a_caller() -> None:
    """A token whose user is gone is "no such user", whatever ID is asked for."""
    with pytest.raises(UserNotFound):
        require_caller(None, "ASD000001")


def test_a_code_is_bound_once() -> None:
    """By default the second registration is refused, the owner's own included."""
    machines = MemoryMachineStore()
    register(machines, make_machine(), OWNER, repeat_by_owner=False)
    for user in (OWNER, STRANGER):
        with pytest.raises(MachineCodeTaken):
            register(machines, make_machine(), user, repeat_by_owner=False)


def test_a_repetition_by_the_owner_can_be_let_through() -> None:
    """Where the host asks for it the owner hears "yes" again, a stranger never, and nothing is stored."""
    machines = MemoryMachineStore()
    register(machines, make_machine(), OWNER, repeat_by_owner=True)
    register(machines, make_machine(), OWNER, repeat_by_owner=True)
    with pytest.raises(MachineCodeTaken):
        register(machines, make_machine(), STRANGER, repeat_by_owner=True)
    assert len(machines.list_for(OWNER)) == 1
