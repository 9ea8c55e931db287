"""What passes between the blueprint and the stores."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, astuple

import pytest

from flask_aegis_machines import Owner, User
from flask_aegis_machines._records import MACHINE_FIELDS
from flask_aegis_machines.testing import make_machine
from tests.support.hosts import FIRST


def test_the_fields_are_those_of_the_api_document() -> None:
    """A client sends a machine's code and ten facts, under the documented names."""
    assert MACHINE_FIELDS == (
        "machine_code",
        "windows_uuid",
        "windows_product_id",
        "machine_os_name",
        "machine_os_version",
        "machine_architecture",
        "machine_architecture_type",
        "machine_platform",
        "machine_cpu",
        "machine_motherboard",
        "machine_mac_address",
    )


def test_no_repr_shows_an_identifier() -> None:
    """Records may stand in tracebacks and error reports, so they show neither hardware nor ID numbers."""
    machine = make_machine()
    user = User("alice@example.org", "ASD000001", "110101199003071234")
    shown = f"{machine!r} {user!r} {Owner(user.key)!r}"
    hidden = [*filter(None, astuple(machine)), *astuple(user)]
    assert [value for value in hidden if value in shown] == []


@pytest.mark.parametrize(("record", "name"), [(FIRST, "key"), (make_machine(), "machine_code")])
def test_records_do_not_change(record: object, name: str) -> None:
    """What was checked is what is bound."""
    with pytest.raises(FrozenInstanceError):
        setattr(record, name, "another")


@pytest.mark.parametrize(("key", "is_first"), [(1, True), ("1", True), (2, False), (None, False)])
def test_owners_are_compared_by_key_as_text(key: object, is_first: bool) -> None:
    """A driver may return a key in another type, and a deleted owner is nobody."""
    assert Owner(key).is_user(FIRST) is is_first
