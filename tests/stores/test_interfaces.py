"""What a store has where it overrides only the required methods."""

from __future__ import annotations

import pytest
from flask import Flask

from flask_aegis_machines import MachineStore, User, UserStore
from flask_aegis_machines.stores import Notice
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore
from tests.support.hosts import FIRST


class Users(UserStore):
    """The required methods only."""

    def get(self, identity: str) -> User | None:
        return MemoryUserStore([FIRST]).get(identity)


class Machines(MachineStore):
    """The required methods only, which no test here calls."""

    bind = owner_of = list_for = pytest.fail  # type: ignore[assignment]


def test_a_user_store_needs_one_method() -> None:
    """Users are looked up by ``get`` for every purpose, and there is no sample."""
    users = Users()
    assert (users.get_any("1"), users.get_by_key(1), users.get_sample()) == (FIRST, FIRST, None)


def test_the_defaults_check_nothing() -> None:
    """A store without checks reports no problem, opens no scope, and says that it has no trial."""
    for store in (Users(), Machines()):
        store.check_mount(Flask("host"))
        with store.request_scope():
            assert store.problems() == []
    (line,) = Machines().try_binding(FIRST)
    assert isinstance(line, Notice)
    with pytest.raises(NotImplementedError):
        Machines().find("x" * 32)


def test_a_memory_store_has_a_sample() -> None:
    """The first user is the sample, and an empty store has none."""
    assert MemoryUserStore([FIRST]).get_sample() == FIRST
    assert MemoryUserStore().get_sample() is None
    assert MemoryMachineStore().owner_of("x" * 32) is None
