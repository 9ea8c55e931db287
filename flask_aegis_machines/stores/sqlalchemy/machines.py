"""The machine store on a host's own model."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Literal

from sqlalchemy import (
    Column,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    and_,
    bindparam,
    insert,
    or_,
    select,
)
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from flask_aegis_machines.errors import ConfigurationError, MachineCodeTaken, UserNotFound
from flask_aegis_machines.records import MACHINE_FIELDS, Machine, User
from flask_aegis_machines.stores import MachineStore

from .transactions import Begin, SessionFactory, Transactions, mapper_of

__all__ = ["SQLAlchemyMachineStore"]


class SQLAlchemyMachineStore(MachineStore):
    """Machines in a table of the host's, whose unique index on ``machine_code`` decides who owns a code.

    Args:
        session: Zero-argument callable that returns a ``Session``: Flask-SQLAlchemy's ``db.session``, a
            ``sessionmaker``, ``lambda: db.session`` for Flask-SQLAlchemy-Lite. Only its engine is used.
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
        self._transactions = Transactions(session, model, transaction, deadline)
        columns = _columns(model)
        self._code, self._owner = columns["machine_code"], columns["user_id"]
        self._attempt, self._registered_at = columns["attempt"], columns["registered_at"]
        self._keys = {name: column.key for name, column in columns.items()}
        # No RETURNING: nothing of the new row is needed, and not every server knows it.
        self._insert = insert(self._code.table).inline()
        # FOR SHARE, because a plain read may come from an old snapshot (MySQL), or see a commit that a
        # synchronous standby does not have yet (PostgreSQL): this one waits, as the commit itself does.
        self._find = (
            select(self._code, self._attempt, self._owner)
            .where(self._code == bindparam("code"))
            .with_for_update(read=True)
        )
        self._codes = select(self._code).where(self._code == bindparam("code"))
        self._machines = (
            select(*(columns[name] for name in (*MACHINE_FIELDS, "registered_at")))
            .where(self._owner == bindparam("owner"))
            .order_by(self._registered_at, self._code)
            .limit(bindparam("limit"))
        )

    def bind(self, machine: Machine, user: User) -> None:
        attempt = uuid.uuid4().hex
        registered_at = datetime.now(timezone.utc)

        def work(begin: Begin) -> None:
            try:
                with begin() as connection:
                    connection.execute(self._insert, self._row(machine, user, attempt, registered_at))
                return
            except IntegrityError as error:
                conflict = error
            # Out of the handler, so that no refusal leads to the driver's error and the values it quotes.
            if not self._is_ours(begin, machine, user, attempt):
                raise conflict

        self._transactions.run(work)

    def is_available(self, machine_code: str) -> bool:
        def work(begin: Begin) -> bool:
            with begin() as connection:
                codes = connection.execute(self._codes, {"code": machine_code}).scalars().all()
            return machine_code not in codes

        return self._transactions.run(work)

    def list_for(self, user: User, *, after: str | None = None, limit: int = 100) -> list[Machine]:
        def work(begin: Begin) -> list[Machine]:
            with begin() as connection:
                machines = self._machines
                if after is not None:
                    query = select(self._registered_at).where(self._code == after, self._owner == user.key)
                    start = connection.execute(query).scalar()
                    if start is None:
                        return []
                    same_moment = and_(self._registered_at == start, self._code > after)
                    machines = machines.where(or_(self._registered_at > start, same_moment))
                rows = connection.execute(machines, {"owner": user.key, "limit": limit}).all()
            return [replace(Machine(*facts), registered_at=_in_utc(moment)) for *facts, moment in rows]

        return self._transactions.run(work)

    def _row(self, machine: Machine, user: User, attempt: str, registered_at: datetime) -> dict[str, object]:
        values = {name: getattr(machine, name) for name in MACHINE_FIELDS}
        values.update(user_id=user.key, attempt=attempt, registered_at=registered_at)
        return {self._keys[name]: value for name, value in values.items()}

    def _is_ours(self, begin: Begin, machine: Machine, user: User, attempt: str) -> bool:
        """Read, in a new transaction, what stood in the way of an insert.

        Returns:
            Whether it is the row of this very attempt, whose reply was lost. ``False`` where no row is there:
            then another key of the host's table was violated.

        Raises:
            MachineCodeTaken: It is the row of another attempt.
            UserNotFound: No row is there, and the user is not there either.
        """
        with begin() as connection:
            rows = connection.execute(self._find, {"code": machine.machine_code}).all()
            row = next((row for row in rows if row[0] == machine.machine_code), None)
            user_is_gone = row is None and self._is_gone(connection, user)
        if user_is_gone:
            raise UserNotFound
        if row is None:
            return False
        _, its_attempt, its_owner = row
        if its_attempt != attempt:
            raise MachineCodeTaken(by_same_user=str(its_owner) == str(user.key))
        return True

    def _is_gone(self, connection: Connection, user: User) -> bool:
        keys = [foreign_key.column for foreign_key in self._owner.foreign_keys]
        return any(connection.execute(select(key).where(key == user.key)).first() is None for key in keys)


def _columns(model: type) -> dict[str, Column[Any]]:
    """Return the columns that the store uses, by attribute; refuse a model that cannot keep the promise."""
    mapper = mapper_of(model)
    names = (*MACHINE_FIELDS, "registered_at", "attempt", "user_id")
    missing = [name for name in names if name not in mapper.columns]
    if missing:
        raise ConfigurationError(
            f"{model.__name__} has no column attribute {', '.join(missing)}: add MachineMixin to its bases, "
            "and a user_id column of the type of the users' key."
        )
    columns = {name: mapper.columns[name] for name in names}
    code = columns["machine_code"]
    table = code.table
    if not isinstance(table, Table) or any(column.table is not table for column in columns.values()):
        raise ConfigurationError(f"All columns of {model.__name__} must be in one table.")
    if not any(len(key) == 1 and key[0] is code for key in _unique_keys(table)):
        raise ConfigurationError(
            f"Nothing in table {table.name} makes {code.name} unique, so a machine could get two owners: "
            "give that column unique=True, index=True, as MachineMixin does."
        )
    return columns


def _unique_keys(table: Table) -> list[list[Any]]:
    # An index with a condition (the pattern of soft deletes) lets a code in twice.
    indexes = [index for index in table.indexes if index.unique]
    whole = [index for index in indexes if not any(option.endswith("_where") for option in index.kwargs)]
    keys = [list(index.expressions) for index in whole]
    for constraint in table.constraints:
        if isinstance(constraint, (UniqueConstraint, PrimaryKeyConstraint)):
            keys.append(list(constraint.columns))
    return keys


def _in_utc(moment: datetime) -> datetime:
    """Return the moment in UTC; SQLite and MySQL keep it without its zone, which is UTC."""
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)
