"""The trial of ``doctor --trial``: a binding whose transaction is rolled back."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from flask_aegis_machines._errors import ConfigurationError
from flask_aegis_machines._records import MACHINE_FIELDS, Machine, User
from flask_aegis_machines.stores import Notice

from ._binding import Binding
from ._hooks import ENDED, call_within
from ._rollback_check import require_undoable
from ._transactions import Transactions
from ._unit_of_work import UnitOfWork

__all__ = ["try_binding"]

_IS_REPLICA = {
    "postgresql": "SELECT pg_is_in_recovery()",
    "mysql": "SELECT @@global.read_only",
    "mariadb": "SELECT @@global.read_only",
}


def try_binding(
    transactions: Transactions,
    binding: Binding,
    row_of: Callable[[Machine, User], Mapping[str, Any]],
    user: User,
) -> list[str]:
    """Bind a random code for a user, check each step, and roll back.

    Args:
        transactions: The transactions of the store.
        binding: The binding of the store, with the hook of the host where it is to run.
        row_of: Returns the values of a new row.
        user: The user to bind for.

    Returns:
        One sentence for each step that failed.

    Raises:
        Refusal: The hook refused the user.
        StoreFailure: A statement or the hook failed.
    """
    facts: Any = {**dict.fromkeys(MACHINE_FIELDS, ""), "machine_code": uuid.uuid4().hex}
    machine = Machine(**facts)
    row, duplicate = row_of(machine, user), row_of(machine, user)

    def try_out(unit: UnitOfWork) -> list[str]:
        is_replica = _IS_REPLICA.get(unit.dialect.name)
        if is_replica and unit.connection.exec_driver_sql(is_replica).scalar():
            return [Notice("The engine is connected to a replica, on which no trial is possible.")]
        table = binding.catalog.table(unit)
        try:
            require_undoable(unit.connection, table)
        except ConfigurationError:
            reason = "connection is in autocommit" if table.is_transactional else "table has no transactions"
            return [Notice(f"The {reason}: no trial, since it could not be undone.")]
        if not binding.insert.one(unit.connection, {**binding.constants, **row}, user):
            return ["The trial failed: the database stored no row. Look for triggers that skip rows."]
        if binding.within is not None:
            call_within(binding.within, unit, machine, user)
        if not binding.insert.read_back(unit.connection, [(row, user)]):
            return ["The trial failed: the table does not show the row that was stored. Look for triggers."]
        if not binding.insert.conflicting(unit.connection, machine.machine_code):
            return ["The trial failed: the stored row cannot be locked FOR SHARE."]
        if _insert_again(unit.connection, binding, duplicate, user):
            return ["The trial failed: the code was stored a second time. Look at its unique key."]
        return []

    def is_left(unit: UnitOfWork) -> bool:
        return binding.insert.is_stored(unit.connection, row)

    problems = transactions.run(try_out)
    if transactions.run(is_left):
        problems.append(f"The trial failed: {ENDED} Delete the machine with the code {machine.machine_code}.")
    return problems


def _insert_again(connection: Connection, binding: Binding, duplicate: Mapping[str, Any], user: User) -> bool:
    try:
        return binding.insert.one(connection, {**binding.constants, **duplicate}, user)
    except IntegrityError:
        return False
