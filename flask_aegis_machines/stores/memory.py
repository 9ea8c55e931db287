"""Stores in memory, for tests and demos of one process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from threading import Lock

from flask_aegis_machines._errors import MachineCodeTaken
from flask_aegis_machines._records import Machine, Owner, User, registration_time

from . import MachineStore, UserStore

__all__ = ["MemoryMachineStore", "MemoryUserStore"]


class MemoryUserStore(UserStore):
    """Users by their key.

    Args:
        users: The users to begin with.
    """

    def __init__(self, users: Iterable[User] = ()) -> None:
        self._users = {str(user.key): user for user in users}

    def add(self, user: User) -> None:
        """Add a user, or replace the user with the same key.

        Args:
            user: The user. Its identity is ``str(user.key)``.
        """
        self._users[str(user.key)] = user

    def get(self, identity: str) -> User | None:
        return self._users.get(identity)

    def get_sample(self) -> User | None:
        return next(iter(self._users.values()), None)


class MemoryMachineStore(MachineStore):
    """Machines by their code, safe across threads and gone with the process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._bound: dict[str, tuple[Machine, object]] = {}

    def bind(self, machine: Machine, user: User) -> None:
        with self._lock:
            if (taken := self._bound.get(machine.machine_code)) is not None:
                raise MachineCodeTaken(by_same_user=Owner(taken[1]).is_user(user))
            registered = replace(machine, registered_at=registration_time(machine))
            self._bound[machine.machine_code] = (registered, user.key)

    def owner_of(self, machine_code: str) -> Owner | None:
        with self._lock:
            bound = self._bound.get(machine_code)
        return None if bound is None else Owner(bound[1])

    def list_for(self, user: User, *, after: str | None = None, limit: int = 100) -> list[Machine]:
        with self._lock:
            owned = [machine for machine, key in self._bound.values() if Owner(key).is_user(user)]
        owned.sort(key=lambda machine: (machine.registered_at, machine.machine_code))
        codes = [machine.machine_code for machine in owned]
        if after is not None and after not in codes:
            return []
        first = 0 if after is None else codes.index(after) + 1
        return owned[first : first + limit]

    def find(self, machine_code: str) -> tuple[Machine, object] | None:
        with self._lock:
            return self._bound.get(machine_code)
