"""Says what an import would bind, and binds nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

from ._csv_import import BindMany
from ._errors import MachineCodeTaken, Refusal
from ._records import Machine, Owner, User

__all__ = ["without_binding"]


@contextmanager
def without_binding(owner_of: Callable[[str], Owner | None]) -> Iterator[BindMany]:
    """Stand in for ``MachineStore.bind_many``.

    Args:
        owner_of: Returns who owns a code, as ``MachineStore.owner_of`` does.

    Returns:
        A context with a function that returns what ``bind_many`` would return. It runs no hook of the store.
    """
    # A code may come twice in a file of any length, so codes are kept on disk and not in memory. The name ""
    # is a temporary file, which SQLite deletes.
    with closing(sqlite3.connect("", isolation_level=None)) as seen:
        seen.execute("CREATE TABLE seen (code TEXT PRIMARY KEY, owner TEXT) WITHOUT ROWID")

        def check_all(bindings: Sequence[tuple[Machine, User]]) -> list[Refusal | None]:
            return [check(machine.machine_code, user) for machine, user in bindings]

        def check(code: str, user: User) -> Refusal | None:
            owner = owner_of(code)
            if owner is None:
                insert = "INSERT INTO seen VALUES (?, ?) ON CONFLICT DO NOTHING"
                if seen.execute(insert, (code, str(user.key))).rowcount:
                    return None
                owner = Owner(*seen.execute("SELECT owner FROM seen WHERE code = ?", (code,)).fetchone())
            return MachineCodeTaken(by_same_user=owner.is_user(user))

        yield check_all
