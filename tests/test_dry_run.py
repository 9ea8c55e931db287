"""An import that binds nothing."""

from __future__ import annotations

import pytest

from flask_aegis_machines import Owner
from flask_aegis_machines._dry_run import without_binding
from flask_aegis_machines._errors import MachineCodeTaken, Refusal
from flask_aegis_machines.stores.memory import MemoryMachineStore
from flask_aegis_machines.testing import make_machine
from tests.support.csv_files import CODES
from tests.support.hosts import FIRST, SECOND


def names_of(refusals: list[Refusal | None]) -> list[object]:
    """Return the refusals as values that can be compared."""
    return [(type(refusal), getattr(refusal, "by_same_user", None)) for refusal in refusals]


def test_a_dry_run_says_what_a_store_would(machines: MemoryMachineStore) -> None:
    """Codes that are free, bound, or come again in this batch or a later one are refused as by the store."""
    machines.bind(make_machine(CODES[0]), FIRST)
    bindings = [(make_machine(code), user) for code in CODES[:3] for user in (SECOND, FIRST, SECOND)]
    with without_binding(machines.owner_of) as bind_many:
        first, second = bind_many(bindings), bind_many(bindings)
    assert machines.owner_of(CODES[1]) is None
    assert names_of(first) == names_of(machines.bind_many(bindings))
    assert names_of(second) == names_of(machines.bind_many(bindings))


def test_a_code_of_a_deleted_user_is_taken() -> None:
    """A code stays bound without its owner, and nobody is its owner."""
    with without_binding(lambda code: Owner(None)) as bind_many:
        (refusal,) = bind_many([(make_machine(), FIRST)])
    assert names_of([refusal]) == [(MachineCodeTaken, False)]


def test_a_failure_of_the_store_is_raised() -> None:
    """A store that cannot be read ends the dry run."""

    def owner_of(code: str) -> Owner | None:
        raise OSError

    with pytest.raises(OSError), without_binding(owner_of) as bind_many:  # noqa: PT011  # has no text
        bind_many([(make_machine(), FIRST)])
