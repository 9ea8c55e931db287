"""The stores in memory keep the contracts."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime, timezone
from threading import Thread
from typing import Any

import pytest

from flask_aegis_machines import MachineCodeTaken, StoreFailure, User
from flask_aegis_machines.stores import memory
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore
from flask_aegis_machines.testing import MachineStoreContract, UserStoreContract, make_machine
from tests.support.hosts import FIRST, SECOND


class TestMemoryUserStore(UserStoreContract):
    """Users in memory."""

    @pytest.fixture
    def user(self) -> User:
        return FIRST

    @pytest.fixture
    def store(self, user: User) -> MemoryUserStore:
        return MemoryUserStore([user])

    def test_users_can_be_added_and_replaced(self, store: MemoryUserStore) -> None:
        """A test may add users later; the last one with a key counts."""
        store.add(SECOND)
        store.add(User(1, "ASD999999", ""))
        found = [store.get("1"), store.get("2")]
        assert found == [User(1, "ASD999999", ""), SECOND]


class TestMemoryMachineStore(MachineStoreContract):
    """Machines in memory."""

    @pytest.fixture
    def store(self) -> MemoryMachineStore:
        return MemoryMachineStore()

    @pytest.fixture
    def owners(self) -> tuple[User, User]:
        return FIRST, SECOND


def test_the_list_is_in_the_order_of_the_timestamps() -> None:
    """As in the store on SQLAlchemy, a machine that was registered earlier and imported later comes first."""
    store = MemoryMachineStore()
    new, old = (make_machine(str(number) * 31 + "x") for number in (1, 2))
    store.bind(new, FIRST)
    store.bind(replace(old, registered_at=datetime(2020, 1, 1, tzinfo=timezone.utc)), FIRST)
    assert [each.machine_code for each in store.list_for(FIRST)] == [old.machine_code, new.machine_code]


def test_a_timestamp_without_a_zone_is_refused() -> None:
    """It cannot be compared with the others, so the list of its owner would fail."""
    store = MemoryMachineStore()
    with pytest.raises(StoreFailure, match="registered_at has no time zone"):
        store.bind(replace(make_machine(), registered_at=datetime(2020, 1, 1)), FIRST)
    assert store.list_for(FIRST) == []


def test_nobody_comes_between_the_look_and_the_insert(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads that bind one code at once have one winner, however slow the first is."""
    real = memory.replace

    def slow(*args: Any, **changes: Any) -> Any:
        time.sleep(0.05)
        return real(*args, **changes)

    monkeypatch.setattr(memory, "replace", slow)
    store = MemoryMachineStore()
    outcomes: list[str] = []

    def bind(user: User) -> None:
        try:
            store.bind(make_machine(), user)
        except MachineCodeTaken:
            outcomes.append("taken")
        else:
            outcomes.append("bound")

    threads = [Thread(target=bind, args=(user,)) for user in (FIRST, SECOND)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["bound", "taken"]
