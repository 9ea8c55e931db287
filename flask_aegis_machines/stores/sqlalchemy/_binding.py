"""Decides who owns a machine code: the INSERT, what proves it, and the verdict where nothing was stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from functools import partial
from typing import Any

from sqlalchemy import Column, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Mapper

from flask_aegis_machines._errors import ConfigurationError, MachineCodeTaken, Refusal, UserNotFound
from flask_aegis_machines._records import Machine, Owner, User

from ._catalog import Catalog
from ._failures import NO_KEY, NothingStored
from ._hooks import ENDED, Within, call_within
from ._insert import CHANGED, Insert, is_expression
from ._model_checks import constants_of, unpadded
from ._rollback_check import require_undoable
from ._transactions import Transactions
from ._unit_of_work import UnitOfWork

__all__ = ["Binding"]

_NOT_STORED = (
    "the database stored no row and shows no bound code: a trigger skips the row, row-level security hides "
    "the row of another user, or another unique key or the collation of the column is in the way (flask "
    "aegis-machines doctor checks these)"
)
Row = Mapping[str, Any]


class Binding:
    """Binds machines in the transactions of a store.

    Args:
        mapper: The mapper of the host's model.
        columns: The columns of the model by attribute.
        within: The hook of the host, if any.
    """

    def __init__(
        self,
        mapper: Mapper[Any],
        columns: Mapping[str, Column[Any]],
        within: Within | None,
    ) -> None:
        code, attempt, owner = columns["machine_code"], columns["attempt"], columns["user_id"]
        self.within = within
        self.constants = constants_of(mapper)
        self._attempt = attempt.key
        self._unpadded = unpadded(owner)
        self.insert = Insert(code, attempt, owner, self._unpadded)
        self.catalog = Catalog(code, attempt, owner)
        # Resolved when they are needed: the model of users may be imported later.
        self._foreign_keys = owner.foreign_keys

    def without_hook(self) -> Binding:
        """Return the same binding without the hook of the host."""
        plain = copy(self)
        plain.within = None
        return plain

    def bind(self, machine: Machine, user: User, row: Row, unit: UnitOfWork) -> None:
        """Bind a machine in the transaction of a unit, and commit it.

        Args:
            machine: The machine.
            user: The owner.
            row: The values of the new row by column key, the same in each try.
            unit: The connection of this try.

        Raises:
            MachineCodeTaken: Another call has committed exactly this code.
            UserNotFound: Nothing was stored, and the user does not exist any more.
            NothingStored: Nothing was stored, and no bound code explains it.
            Exception: A statement or the hook failed.
        """
        table = self.catalog.table(unit)
        must_be_undoable = self.within is not None or table.may_alter_insert
        if must_be_undoable:
            require_undoable(unit.connection, table)
        is_stored = False
        violation: IntegrityError | None = None
        unit.may_have_committed = not must_be_undoable  # an engine in autocommit commits the INSERT
        # A trigger could delete the row of the owner before the INSERT meets it: look first.
        if not (table.may_alter_insert and self.insert.look_for(unit.connection, machine.machine_code)):
            try:
                is_stored = self.insert.one(unit.connection, {**self.constants, **row}, user)
            except IntegrityError as error:
                violation = error
        if is_stored:
            if self.within is not None:
                self._call_within(self.within, unit, machine, user, row)
            must_be_read_back = table.must_be_read_back or self.within is not None
            if must_be_read_back and not self.insert.read_back(unit.connection, [(row, user)]):
                raise NothingStored(CHANGED)
            unit.commit()
            return
        if violation is not None or table.must_be_read_back:
            unit.rollback()  # a trigger may have stored the row elsewhere
        self._require_stored_before(machine, user, row, unit, violation)

    def _call_within(self, within: Within, unit: UnitOfWork, machine: Machine, user: User, row: Row) -> None:
        """Run the hook. If it raises, nothing of the binding may be left, or the client would be misled."""
        try:
            call_within(within, unit, machine, user)
        except DBAPIError:  # decided by its code: a retry finds what is left
            raise
        except Exception:
            unit.rollback()
            if self.insert.is_stored(unit.connection, row):
                raise ConfigurationError(ENDED) from None
            raise

    def bind_many(
        self, transactions: Transactions, bindings: Sequence[tuple[Machine, User]], rows: Sequence[Row]
    ) -> list[Refusal | None]:
        """Bind machines in one transaction where possible, and the others one by one.

        Args:
            transactions: The transactions of the store.
            bindings: The machines with their owners.
            rows: The values of their rows.

        Returns:
            For each machine ``None``, or the reason for its refusal.

        Raises:
            StoreFailure: A transaction failed. Some of the machines may be bound.
        """
        owners = self._bound_before(transactions, bindings)
        stored = self._insert_new(transactions, bindings, rows, owners)
        return self._bind_rest(transactions, bindings, rows, owners, stored)

    def _bound_before(
        self, transactions: Transactions, bindings: Sequence[tuple[Machine, User]]
    ) -> dict[str, object]:
        """Return the keys of the owners of the codes that are bound already."""
        codes = [machine.machine_code for machine, _ in bindings]

        def read(unit: UnitOfWork) -> dict[str, object]:
            owners = self.insert.owners(unit.connection, codes)
            unit.commit()
            return owners

        return transactions.run(read)

    def _insert_new(
        self,
        transactions: Transactions,
        bindings: Sequence[tuple[Machine, User]],
        rows: Sequence[Row],
        owners: Mapping[str, object],
    ) -> set[int]:
        """Insert the first row of each new code in one transaction; return the numbers of what was stored."""
        codes = [machine.machine_code for machine, _ in bindings]
        first = {code: number for number, code in reversed(list(enumerate(codes))) if code not in owners}
        # In the order of the codes: two imports of the same machines then wait for each other, and do not
        # deadlock.
        numbers = [number for _, number in sorted(first.items())]
        new_rows = [{**self.constants, **rows[number]} for number in numbers]
        has_expressions = any(is_expression(value) for row in new_rows for value in row.values())
        # SQLAlchemy inserts the columns of the first row: values= may return others for another machine.
        has_same_columns = len({frozenset(row) for row in new_rows}) == 1
        if self.within is not None or has_expressions or not has_same_columns:
            return set()
        expected = [(rows[number], bindings[number][1]) for number in numbers]

        def insert(unit: UnitOfWork) -> bool:
            if self.catalog.table(unit).may_alter_insert:
                return False  # many rows at once have no count that proves each
            unit.may_have_committed = True
            try:
                self.insert.many(unit.connection, new_rows)
            except IntegrityError:
                return False
            if not self.insert.read_back(unit.connection, expected):
                return False
            unit.commit()
            return True

        return set(numbers) if transactions.run(insert) else set()

    def _bind_rest(
        self,
        transactions: Transactions,
        bindings: Sequence[tuple[Machine, User]],
        rows: Sequence[Row],
        owners: Mapping[str, object],
        stored: set[int],
    ) -> list[Refusal | None]:
        refusals: list[Refusal | None] = [None] * len(bindings)
        for number, (machine, user) in enumerate(bindings):
            try:
                if machine.machine_code in owners:
                    raise MachineCodeTaken(by_same_user=Owner(owners[machine.machine_code]).is_user(user))
                if number not in stored:
                    transactions.run(partial(self.bind, machine, user, rows[number]))
            except Refusal as refusal:
                refusals[number] = refusal
        return refusals

    def _require_stored_before(
        self, machine: Machine, user: User, row: Row, unit: UnitOfWork, violation: IntegrityError | None
    ) -> None:
        """Return if an earlier try of this call stored the only row with this code. Raise otherwise."""
        found = self.insert.conflicting(unit.connection, machine.machine_code)
        is_gone = not found and not self._look_for_user(unit.connection, user)
        if unit.dialect.name == "postgresql":
            unit.commit()  # waits until a synchronous standby has what was read
        if is_gone:
            raise UserNotFound
        if len(found) != 1:
            raise violation or NothingStored(NO_KEY if found else _NOT_STORED)
        _, attempt, owner = found[0]
        if attempt != row[self._attempt]:
            raise MachineCodeTaken(by_same_user=Owner(self._unpadded(owner)).is_user(user))

    def _look_for_user(self, connection: Connection, user: User) -> bool:
        """Return whether the database shows everything that the owner's foreign keys refer to."""
        return all(
            connection.execute(select(key.column).where(key.column == user.key)).first()
            for key in self._foreign_keys
        )
