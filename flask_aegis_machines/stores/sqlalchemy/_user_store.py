"""The user store on a model of the host."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cached_property, partial
from typing import Any, Literal

from flask import Flask
from sqlalchemy import Column, String, bindparam, select
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import Select

from flask_aegis_machines._errors import ConfigurationError, StoreFailure
from flask_aegis_machines._records import User, require_key
from flask_aegis_machines.stores import UserStore

from ._doctor import problems_of_users
from ._failures import is_foreign_text
from ._identity_values import bind_type, column_value
from ._model_checks import is_text, mapper_of, unpadded
from ._transactions import SessionFactory, Transactions
from ._unit_of_work import UnitOfWork

__all__ = ["SQLAlchemyUserStore"]


class SQLAlchemyUserStore(UserStore):
    """Users in a table of the host, which is only read.

    Args:
        session: A callable without arguments that returns a ``Session``, as for ``SQLAlchemyMachineStore``.
        model: The model of the host: of its users, or of accounts beside them (``AccountMixin``).
        identity: The attribute that the identity of a token is looked up in.
        aegisspeed_id: The attribute that has the AegisSpeed ID.
        id_number: The attribute that has the ID number in clear; ``NULL`` counts as an empty one.
        key: The attribute that goes into the machine's ``user_id``. Default: ``identity``.
        transaction: ``"own"``, or ``"host"`` to read in the transaction of the host's session.
        deadline: Seconds in which deadlocks and outages are retried. It does not shorten a wait for the pool.
            A failure that leaves the outcome unknown is retried once, later too.
        where: A condition on the model, such as ``User.is_active``, for users who may bind machines. Others
            get 404/10003. ``flask aegis-machines show`` and ``import`` ignore it.

    Raises:
        ConfigurationError: An argument cannot work. The message says what to do.
    """

    def __init__(
        self,
        session: SessionFactory,
        model: type,
        *,
        identity: str,
        aegisspeed_id: str,
        id_number: str,
        key: str | None = None,
        transaction: Literal["own", "host"] = "own",
        deadline: float = 4.0,
        where: Any = None,
    ) -> None:
        mapper = mapper_of(model)
        self._tables, columns = mapper.tables, mapper.columns
        attributes = (key or identity, aegisspeed_id, id_number, identity)
        # An expression has no key that makes it unique, so it may be read, but identifies nobody.
        if missing := [
            name
            for name in attributes
            if name not in columns or (name == identity and not isinstance(columns[name], Column))
        ]:
            raise ConfigurationError(
                f"{model.__name__} has no column attribute {', '.join(missing)}: name attributes that are "
                "mapped to a column, which synonyms, hybrids and relationships are not."
            )
        if not_text := [name for name in (aegisspeed_id, id_number) if not _may_be_text(columns[name])]:
            raise ConfigurationError(
                f"{model.__name__}.{', '.join(not_text)} must hold text, as the API document has it: use "
                "String."
            )
        if where is not None and not hasattr(where, "self_group"):
            raise ConfigurationError("where must be a condition of SQLAlchemy, such as User.is_active.")
        self._identity: Column[Any] = columns[identity]
        self._key: Column[Any] = columns[key or identity]
        self._unpad_key, self._unpad_identity = unpadded(self._key), unpadded(self._identity)
        # From the model and not from its table: a subclass is a join, or rows of its own kind only.
        self._users = select(*(columns[name] for name in attributes)).select_from(model)
        self._where = () if where is None else (where,)
        self._transactions = Transactions(session, mapper, self._users, transaction, deadline)

    # Made at first use, as in SQLAlchemyMachineStore: the key of an account may be a foreign key.
    @cached_property
    def _find_any(self) -> Select[Any]:
        identity = bindparam("identity", type_=bind_type(self._identity))
        return self._users.where(self._identity == identity)

    @cached_property
    def _find(self) -> Select[Any]:
        return self._find_any.where(*self._where)

    @cached_property
    def _find_by_key(self) -> Select[Any]:
        return self._users.where(self._key == bindparam("key"))

    def check_mount(self, app: Flask) -> None:
        self._transactions.check_engine(app)

    def request_scope(self) -> AbstractContextManager[None]:
        # A get() of a subclass may need another connection of the pool while the look-up holds one.
        is_extended = type(self).get is not SQLAlchemyUserStore.get or "get" in vars(self)
        return self._transactions.request_scope(share=not is_extended)

    def get(self, identity: str) -> User | None:
        # The next call of the request, on the same engine, goes on in this transaction.
        return self._transactions.run(partial(self._look_up, self._find, identity), keep_for_request=True)

    def get_any(self, identity: str) -> User | None:
        return self._transactions.run(partial(self._look_up, self._find_any, identity))

    def get_by_key(self, key: object) -> User | None:
        def look_up(unit: UnitOfWork) -> User | None:
            rows = unit.connection.execute(self._find_by_key, {"key": key}).all()
            found = [row for row in rows if str(self._unpad_key(row[0])) == str(self._unpad_key(key))]
            return self._user(found[0]) if found else None

        return self._transactions.run(look_up)

    def get_sample(self) -> User | None:
        return self._transactions.run(self._read_sample)

    def problems(self) -> list[str]:
        def ask(unit: UnitOfWork) -> list[str]:
            read_sample = partial(self._read_sample, unit)
            return problems_of_users(unit.connection, self._tables, self._find, self._identity, read_sample)

        problem = self._transactions.connection_problem()
        return [problem] if problem else self._transactions.run(ask)

    def _read_sample(self, unit: UnitOfWork) -> User | None:
        row = unit.connection.execute(self._users.where(*self._where).limit(1)).first()
        return None if row is None else self._user(row)

    def _look_up(self, statement: Select[Any], identity: str, unit: UnitOfWork) -> User | None:
        value = column_value(identity, self._identity, unit.dialect)
        if value is None:
            return None
        try:
            rows = unit.connection.execute(statement, {"identity": value}).all()
        except Exception as error:
            if identity.isascii() or not is_foreign_text(error):
                raise
            return None  # no user can have such an identity
        found = [row for row in rows if self._is_identity(row[-1], value, unit.dialect)]
        if len(found) > 1:
            raise StoreFailure(
                f"several users have one {self._identity.name}: make the column unique, by a migration"
            )
        return self._user(found[0]) if found else None

    def _is_identity(self, stored: object, value: object, dialect: Dialect) -> bool:
        """Compare text exactly: the default collations of MySQL fold case."""
        if not isinstance(stored, str) or not isinstance(value, str):
            return True
        # PostgreSQL compares exactly, except for the blanks of a CHAR column.
        return self._unpad_identity(stored) == value or (
            dialect.name == "postgresql" and stored.rstrip(" ") == value
        )

    def _user(self, row: Sequence[Any]) -> User:
        key, aegisspeed_id, id_number, _ = row
        require_key(key)
        for name, value in (("AegisSpeed ID", aegisspeed_id), ("ID number", id_number)):
            if value is not None and not isinstance(value, str):
                raise StoreFailure(
                    f"the {name} of a user is no text in the database: change the type of its column"
                )
        if isinstance(self._key.type, String):
            key = str(key)  # a driver may return a UUID, which is not compared with text later
        # Neither ends with blanks; those that are there come from a CHAR column.
        return User(self._unpad_key(key), (aegisspeed_id or "").rstrip(" "), (id_number or "").rstrip(" "))


def _may_be_text(column: Column[Any]) -> bool:
    """Return whether values may be text; a type of the host that does not say what it returns may."""
    try:
        return is_text(column) or column.type.python_type in (str, object)
    except NotImplementedError:
        return True
