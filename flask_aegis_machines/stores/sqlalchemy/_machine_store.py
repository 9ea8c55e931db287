"""The machine store on a host's own model."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Literal

from sqlalchemy import bindparam, insert, or_, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql import Select

from flask_aegis_machines._errors import ConfigurationError, MachineCodeTaken, Refusal, UserNotFound
from flask_aegis_machines._records import MACHINE_FIELDS, Machine, Owner, User
from flask_aegis_machines.stores import MachineStore

from ._live_table import problems_of
from ._model import machine_columns
from ._transactions import Begin, SessionFactory, Transactions

__all__ = ["SQLAlchemyMachineStore"]


class SQLAlchemyMachineStore(MachineStore):
    """Machines in a table of the host's, whose unique index on ``machine_code`` decides who owns a code.

    Args:
        session: Zero-argument callable that returns a ``Session``: Flask-SQLAlchemy's ``db.session``, a
            ``sessionmaker``, ``lambda: db.session`` for Flask-SQLAlchemy-Lite. Only its engine is used, or
            its ``Connection`` where it is bound to one, unless the transaction is the host's.
        model: The host's model, with ``MachineMixin`` and a ``user_id`` column.
        transaction: ``"own"``, or ``"host"`` where the host commits what its session holds: then machines are
            inserted in a savepoint of the session's transaction, never committed and never tried again, and
            a "yes" is worth as much as the host's commit.
        deadline: Seconds up to which an insert is repeated after a failure that may pass.

    Raises:
        ConfigurationError: An argument is not what it must be; the message says what to do.
    """

    def __init__(
        self,
        session: SessionFactory,
        model: type,
        *,
        transaction: Literal["own", "host"] = "own",
        deadline: float = 4.0,
    ) -> None:
        self._columns = columns = machine_columns(model)
        code, registered_at = columns["machine_code"], columns["registered_at"]
        self._owner = owner = columns["user_id"]
        self._keys = {name: column.key for name, column in columns.items()}
        # No RETURNING: nothing of the new row is needed, and not every server knows it.
        self._insert = insert(code.table).inline()
        # All work goes where writes go: a replica may not have yet what a verdict depends on. An UPDATE tells
        # where, since SQLAlchemy's own example of a session that routes looks for UPDATE and DELETE alone.
        self._transactions = Transactions(session, model, update(code.table), transaction, deadline)
        # FOR SHARE, because a plain read may come from an old snapshot (MySQL), or see a commit that a
        # synchronous standby does not have yet (PostgreSQL): this one waits, as the commit itself does.
        codes = code.in_(bindparam("codes", expanding=True))
        self._find_all = select(code, columns["attempt"], owner).where(codes).with_for_update(read=True)
        self._owners = select(code, owner).where(code == bindparam("code"))
        machines = select(*(columns[name] for name in (*MACHINE_FIELDS, "registered_at")))
        self._machine = select(owner, *machines.selected_columns).where(code == bindparam("code"))
        page = machines.where(owner == bindparam("owner")).order_by(registered_at, code)
        self._first_page = page.limit(bindparam("limit"))
        self._mark = select(registered_at).where(code == bindparam("after"), owner == bindparam("owner"))
        # Put so that every server reads on in an index over owner, moment and code from where it left off;
        # with the mark as a value, because MariaDB reads from the beginning where it is a subquery.
        beyond = or_(registered_at > bindparam("start"), code > bindparam("after"))
        self._next_page = self._first_page.where(registered_at >= bindparam("start"), beyond)

    def bind(self, machine: Machine, user: User) -> None:
        self._bind(machine, user, self._row(machine, user))

    def owner_of(self, machine_code: str) -> Owner | None:
        rows = self._read(self._owners, {"code": machine_code})
        return next((Owner(key) for code, key in rows if code == machine_code), None)

    def list_for(self, user: User, *, after: str | None = None, limit: int = 100) -> list[Machine]:
        values: dict[str, object] = {"owner": user.key, "limit": limit}
        if after is None:
            return [_machine(row) for row in self._read(self._first_page, values)]
        marks = self._read(self._mark, {"owner": user.key, "after": after})
        values.update(after=after, start=marks[0][0] if marks else None)
        return [_machine(row) for row in self._read(self._next_page, values)] if marks else []

    def bind_many(self, bindings: Sequence[tuple[Machine, User]]) -> list[Refusal | None]:
        if self._transactions.of_host:
            raise ConfigurationError('Nobody would commit: importing needs a store with transaction="own".')
        codes = [machine.machine_code for machine, _ in bindings]
        owners = {code: owner for code, _, owner in self._read(self._find_all, {"codes": codes})}
        rows = [self._row(machine, user) for machine, user in bindings]
        # One transaction for all that are new, each code once; what it leaves undone has its turn alone.
        fresh = {code: number for number, code in reversed(list(enumerate(codes))) if code not in owners}
        # In the order of the codes, so that two imports of the same machines wait for each other at most.
        done = self._insert_all([rows[number] for _, number in sorted(fresh.items())])
        refusals: list[Refusal | None] = []
        for number, (machine, user) in enumerate(bindings):
            try:
                if machine.machine_code in owners:
                    raise _taken(owners[machine.machine_code], user)
                if not (done and fresh[machine.machine_code] == number):
                    self._bind(machine, user, rows[number])
                refusals.append(None)
            except Refusal as refusal:
                refusals.append(refusal)
        return refusals

    def find(self, machine_code: str) -> tuple[Machine, object] | None:
        for owner, *row in self._read(self._machine, {"code": machine_code}):
            if row[0] == machine_code:
                return _machine(row), owner
        return None

    def problems(self) -> list[str]:
        def work(begin: Begin) -> list[str]:
            with begin() as connection:
                return problems_of(connection, self._columns)

        return self._transactions.run(work)

    def _bind(self, machine: Machine, user: User, row: dict[str, object]) -> None:
        def work(begin: Begin) -> None:
            try:
                with begin() as connection:
                    connection.execute(self._insert, row)
                return
            except IntegrityError as error:
                conflict = error
            # Out of the handler, so that no refusal leads to the driver's error and the values it quotes.
            if not self._is_ours(begin, machine, user, row[self._keys["attempt"]]):
                raise conflict

        self._transactions.run(work)

    def _insert_all(self, rows: list[dict[str, object]]) -> bool:
        def work(begin: Begin) -> bool:
            try:
                with begin() as connection:
                    connection.execute(self._insert, rows)
            except IntegrityError:
                return False
            return True

        return bool(rows) and self._transactions.run(work, statements="many")

    def _read(self, statement: Select[Any], values: dict[str, object]) -> list[Any]:
        def work(begin: Begin) -> list[Any]:
            with begin() as connection:
                return list(connection.execute(statement, values).all())

        return self._transactions.run(work)

    def _row(self, machine: Machine, user: User) -> dict[str, object]:
        values = {name: getattr(machine, name) for name in MACHINE_FIELDS}
        moment = datetime.now(timezone.utc)
        values.update(user_id=user.key, attempt=uuid.uuid4().hex, registered_at=moment)
        return {self._keys[name]: value for name, value in values.items()}

    def _is_ours(self, begin: Begin, machine: Machine, user: User, attempt: object) -> bool:
        """Read, in a new transaction, what stood in the way of an insert.

        Returns:
            Whether it is the row of this very attempt, whose reply was lost. ``False`` where no row is there:
            then another key of the host's table was violated.

        Raises:
            MachineCodeTaken: It is the row of another attempt.
            UserNotFound: No row is there, and the user is not there either.
        """
        with begin() as connection:
            rows = connection.execute(self._find_all, {"codes": [machine.machine_code]}).all()
            row = next((row for row in rows if row[0] == machine.machine_code), None)
            user_is_gone = row is None and self._is_gone(connection, user)
        if user_is_gone:
            raise UserNotFound
        if row is None:
            return False
        _, its_attempt, its_owner = row
        if its_attempt != attempt:
            raise _taken(its_owner, user)
        return True

    def _is_gone(self, connection: Connection, user: User) -> bool:
        keys = [foreign_key.column for foreign_key in self._owner.foreign_keys]
        return any(connection.execute(select(key).where(key == user.key)).first() is None for key in keys)


def _taken(owner: object, user: User) -> MachineCodeTaken:
    return MachineCodeTaken(by_same_user=str(owner) == str(user.key))


def _machine(row: Sequence[Any]) -> Machine:
    """Make a machine of its columns, its moment last; SQLite and MySQL keep that without its zone, UTC."""
    *facts, moment = row
    aware = moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)
    return replace(Machine(*facts), registered_at=aware)
