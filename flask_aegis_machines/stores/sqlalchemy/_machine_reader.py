"""Reads machines: one by its code, and the pages of a user's list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timezone
from functools import cached_property
from typing import Any

from sqlalchemy import Column, bindparam, or_, select
from sqlalchemy.sql import Select

from flask_aegis_machines._errors import StoreFailure
from flask_aegis_machines._records import MACHINE_FIELDS, Machine, Owner, User

from ._model_checks import unpadded
from ._transactions import Transactions
from ._unit_of_work import UnitOfWork

__all__ = ["MachineReader"]


class MachineReader:
    """The reads of a machine store. Codes and owners are compared exactly, whatever the collation.

    Args:
        transactions: The transactions of the store.
        columns: The columns of the model by attribute.
    """

    def __init__(self, transactions: Transactions, columns: Mapping[str, Column[Any]]) -> None:
        self._transactions = transactions
        self._code, self._owner = columns["machine_code"], columns["user_id"]
        self._registered_at = columns["registered_at"]
        self._unpadded = unpadded(self._owner)
        has_code = self._code == bindparam("code")
        self._find_owner = select(self._code, self._owner).where(has_code)
        facts = (columns[name] for name in (*MACHINE_FIELDS, "registered_at"))
        self._machines = select(*facts, self._owner)
        self._find_machine = self._machines.where(has_code)

    # A foreign key has the type of the users' key only when their model has been imported, which may be later
    # than the store is made. So statements that compare it are made at first use.
    @cached_property
    def _first_page(self) -> Select[Any]:
        page = self._machines.where(self._owner == bindparam("owner"))
        return page.order_by(self._registered_at, self._code).limit(bindparam("limit"))

    @cached_property
    def _find_start(self) -> Select[Any]:
        return select(self._code, self._registered_at, self._owner).where(
            self._code == bindparam("code"), self._owner == bindparam("owner")
        )

    @cached_property
    def _next_page(self) -> Select[Any]:
        # This form lets every server read on from `start` in an index over owner, registered_at and code.
        # Its start is a value: MariaDB reads from the beginning where it is a subquery.
        beyond = or_(self._registered_at > bindparam("start"), self._code > bindparam("after"))
        return self._first_page.where(self._registered_at >= bindparam("start"), beyond)

    def owner_of(self, machine_code: str) -> Owner | None:
        """Return who owns a code, as ``MachineStore.owner_of`` does."""
        row = self._read_one(self._find_owner, machine_code)
        return None if row is None else Owner(self._unpadded(row[-1]))

    def find(self, machine_code: str) -> tuple[Machine, object] | None:
        """Return a machine and the key of its owner, as ``MachineStore.find`` does."""
        row = self._read_one(self._find_machine, machine_code)
        return None if row is None else (_machine(row), self._unpadded(row[-1]))

    def list_for(self, user: User, after: str | None, limit: int) -> list[Machine]:
        """Return a page of a user's machines, as ``MachineStore.list_for`` does."""
        values: dict[str, object] = {"owner": user.key, "limit": limit}
        if after is None:
            return self._page(user, self._first_page, values)
        row = self._read_one(self._find_start, after, owner=user.key)
        if row is None or not self._is_owner(row, user):
            return []
        return self._page(user, self._next_page, {**values, "after": after, "start": row[1]})

    def _page(self, user: User, statement: Select[Any], values: dict[str, object]) -> list[Machine]:
        """Read a page, and go on where a collation returns the machines of similar keys as well."""
        limit: Any = values["limit"]
        machines: list[Machine] = []
        while True:
            rows = self._read(statement, values)
            machines += [_machine(row) for row in rows if self._is_owner(row, user)]
            if len(rows) < limit or len(machines) >= limit:
                return machines[:limit]
            code, *_, registered_at, _ = rows[-1]
            statement, values = self._next_page, {**values, "after": code, "start": registered_at}

    def _read_one(self, statement: Select[Any], machine_code: str, **values: object) -> Any:
        """Return the one row with exactly this code, which is in its first column."""
        rows = self._read(statement, {**values, "code": machine_code})
        exact = [row for row in rows if row[0] == machine_code]
        if len(exact) > 1:
            raise StoreFailure("the live table has several rows with one machine code: it has no unique key")
        return exact[0] if exact else None

    def _read(self, statement: Select[Any], values: dict[str, object]) -> list[Any]:
        def read(unit: UnitOfWork) -> list[Any]:
            return list(unit.connection.execute(statement, values).all())

        return self._transactions.run(read)

    def _is_owner(self, row: Sequence[Any], user: User) -> bool:
        return Owner(self._unpadded(row[-1])).is_user(user)


def _machine(row: Sequence[Any]) -> Machine:
    """Return the machine of a row. SQLite and MySQL keep its timestamp without a time zone, in UTC."""
    *facts, registered_at, _ = row
    if registered_at is None:
        raise StoreFailure("a machine has no registered_at (NULL): fill the column by a migration")
    if registered_at.tzinfo is None:
        registered_at = registered_at.replace(tzinfo=timezone.utc)
    facts = [fact or "" for fact in facts]  # a column that was added later may hold NULL
    return replace(Machine(*facts), registered_at=registered_at.astimezone(timezone.utc))
