"""The machine store on a model of the host."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import timezone
from functools import cache, partial
from typing import Literal

from flask import Flask
from sqlalchemy import update

from flask_aegis_machines._errors import ConfigurationError, Refusal
from flask_aegis_machines._records import MACHINE_FIELDS, Machine, Owner, User, registration_time, require_key
from flask_aegis_machines._sync_functions import require_sync
from flask_aegis_machines.stores import MachineStore

from ._binding import Binding
from ._doctor import problems_of_machines
from ._doctor_trial import try_binding
from ._hooks import Values, Within, call_values
from ._machine_reader import MachineReader
from ._model_checks import machine_columns, mapper_of
from ._transactions import SessionFactory, Transactions
from ._unit_of_work import UnitOfWork

__all__ = ["SQLAlchemyMachineStore"]

# Servers limit the values of one statement; the least is 65,535 (PostgreSQL).
_MOST_AT_ONCE = 1000


class SQLAlchemyMachineStore(MachineStore):
    """Machines in a table of the host, whose unique key on ``machine_code`` decides who owns a code.

    Args:
        session: A callable without arguments that returns a ``Session``: ``db.session`` of
            Flask-SQLAlchemy, a ``sessionmaker``, ``lambda: db.session`` for Flask-SQLAlchemy-Lite. Only its
            engine is used, or the ``Connection`` that it is bound to, unless ``transaction`` is ``"host"``.
        model: The model of the host, with ``MachineMixin`` and a ``user_id`` column.
        transaction: ``"own"``: each binding has a transaction on the engine of the session. ``"host"``: each
            binding is a savepoint in the transaction of the session, which you commit. It is never
            retried, and a 200 is durable only after your COMMIT.
        deadline: Seconds in which deadlocks and outages are retried. It does not shorten a wait for the pool.
            A failure that leaves the outcome unknown is retried once, later too.
        within: ``within(connection, machine, user)`` runs in the transaction of the INSERT, after it and
            before its COMMIT. It may add rows with ``connection``, and refuse by raising a ``Refusal``: then
            nothing of the binding is left. It runs again when the transaction is repeated, but not if
            the reply to a COMMIT was lost and the row is there. It cannot run on a connection in autocommit.
        values: ``values(machine, user)`` returns values for other columns of the model, by attribute. It is
            called before the transaction of the INSERT begins, and again only where it failed. Where a value
            is in the database, return an SQL expression such as a scalar subquery: it is part of the INSERT,
            and needs no connection of its own.

    Raises:
        ConfigurationError: An argument cannot work. The message says what to do.
    """

    def __init__(
        self,
        session: SessionFactory,
        model: type,
        *,
        transaction: Literal["own", "host"] = "own",
        deadline: float = 4.0,
        within: Within | None = None,
        values: Values | None = None,
    ) -> None:
        for name, function in (("within", within), ("values", values)):
            if function is not None and not callable(function):
                raise ConfigurationError(f"{name} must be a function.")
            require_sync(name, function)
        mapper = mapper_of(model)
        self._columns = columns = machine_columns(mapper, filled_by_host=values is not None)
        self._values = values
        self._has_hooks = values is not None or within is not None
        self._attributes = dict(mapper.columns.items())
        # All statements run on the engine for writes, since a replica may lag behind. The session is asked
        # for that of an UPDATE: SQLAlchemy's example of a routing session looks for UPDATE and DELETE only.
        write = update(columns["machine_code"].table)
        self._transactions = Transactions(session, mapper, write, transaction, deadline)
        self._binding = Binding(mapper, columns, within)
        self._reader = MachineReader(self._transactions, columns)

    @property
    def joins_host_transaction(self) -> bool:
        """Whether bindings are part of the transaction of the host's session (``transaction="host"``)."""
        return self._transactions.joins_host

    def check_mount(self, app: Flask) -> None:
        self._transactions.check_engine(app)

    def request_scope(self) -> AbstractContextManager[None]:
        # A method of a subclass, or values=, may need a connection of the pool while the look-up holds one. A
        # hook that counts must read no older snapshot than that of the INSERT (REPEATABLE READ).
        is_extended = any(
            getattr(type(self), method) is not getattr(SQLAlchemyMachineStore, method) or method in vars(self)
            for method in ("bind", "owner_of", "list_for")
        )
        return self._transactions.join_request_scope(share=not (is_extended or self._has_hooks))

    def bind(self, machine: Machine, user: User) -> None:
        # The same row in each try. It is in no variable of this frame, which error reporters read.
        make_row = cache(partial(self._row, machine, user))
        self._transactions.run(lambda unit: self._binding.bind(machine, user, make_row(), unit))

    def owner_of(self, machine_code: str) -> Owner | None:
        return self._reader.owner_of(machine_code)

    def list_for(self, user: User, *, after: str | None = None, limit: int = 100) -> list[Machine]:
        return self._reader.list_for(user, after, limit)

    def bind_many(self, bindings: Sequence[tuple[Machine, User]]) -> list[Refusal | None]:
        if self.joins_host_transaction:
            return super().bind_many(bindings)  # each in a savepoint of its own
        if len(bindings) > _MOST_AT_ONCE:
            batches = [bindings[start:][:_MOST_AT_ONCE] for start in range(0, len(bindings), _MOST_AT_ONCE)]
            return [refusal for batch in batches for refusal in self.bind_many(batch)]
        refusals: list[Refusal | None] = [None] * len(bindings)
        rows: dict[int, dict[str, object]] = {}
        for number, (machine, user) in enumerate(bindings):
            try:
                rows[number] = self._row(machine, user)
            except Refusal as refusal:  # of values=
                refusals[number] = refusal
        accepted = [bindings[number] for number in rows]
        outcomes = self._binding.bind_many(self._transactions, accepted, list(rows.values()))
        for number, outcome in zip(rows, outcomes, strict=True):
            refusals[number] = outcome
        return refusals

    def find(self, machine_code: str) -> tuple[Machine, object] | None:
        return self._reader.find(machine_code)

    def problems(self) -> list[str]:
        def ask(unit: UnitOfWork) -> list[str]:
            return problems_of_machines(unit.connection, self._columns)

        problem = self._transactions.connection_problem()
        return [problem] if problem else self._transactions.run(ask)

    def try_binding(self, user: User, *, with_hook: bool = False) -> list[str]:
        trial = self._binding if with_hook else self._binding.without_hook()
        return try_binding(self._transactions, trial, self._row, user)

    def _row(self, machine: Machine, user: User) -> dict[str, object]:
        """Return the values of a new row by column key."""
        values = {name: getattr(machine, name) for name in MACHINE_FIELDS}
        require_key(user.key)
        registered_at = registration_time(machine).astimezone(timezone.utc)
        values.update(user_id=user.key, attempt=uuid.uuid4().hex, registered_at=registered_at)
        return {
            **self._host_values(machine, user),
            **{self._columns[name].key: value for name, value in values.items()},
        }

    def _host_values(self, machine: Machine, user: User) -> dict[str, object]:
        if self._values is None:
            return {}
        given = call_values(self._values, machine, user, self._attributes)
        return {self._attributes[name].key: value for name, value in given.items()}
