"""The user store on a host's own model."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Column, bindparam, select
from sqlalchemy.exc import DataError, StatementError

from flask_aegis_machines._errors import ConfigurationError
from flask_aegis_machines._records import User
from flask_aegis_machines.stores import UserStore

from ._live_table import problems_of_tables
from ._model import mapper_of
from ._transactions import Begin, SessionFactory, Transactions

__all__ = ["SQLAlchemyUserStore"]

_BIGGEST_INTEGER = 2**63 - 1


class SQLAlchemyUserStore(UserStore):
    """Users in a table of the host's, which is only read.

    Args:
        session: Zero-argument callable that returns a ``Session``, as for ``SQLAlchemyMachineStore``.
        model: The host's model: of its users, or of accounts beside them (``AccountMixin``).
        identity: Attribute of the model that a token's identity is looked up in.
        aegisspeed_id: Attribute that holds the AegisSpeed ID.
        id_number: Attribute that holds the ID number in clear; no value counts as an empty one.
        key: Attribute that goes into the machine's ``user_id``; ``identity``, unless given.
        transaction: ``"own"``, or ``"host"`` to read in the transaction of the host's session.
        deadline: Seconds up to which a look-up is repeated after a failure that may pass.

    Raises:
        ConfigurationError: An argument is not what it must be; the message says what to do.
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
    ) -> None:
        mapper = mapper_of(model)
        self._tables, columns = mapper.tables, mapper.columns
        attributes = (key or identity, aegisspeed_id, id_number, identity)
        if missing := [name for name in attributes if name not in columns]:
            raise ConfigurationError(
                f"{model.__name__} has no column attribute {', '.join(missing)}: name attributes that are "
                "mapped to a column, which synonyms, hybrids and relationships are not."
            )
        self._identity: Column[Any] = columns[identity]
        self._key: Column[Any] = columns[key or identity]
        # From the model and not from its table: a subclass is a join, or rows of its own kind alone.
        users = select(*(columns[name] for name in attributes)).select_from(model)
        self._find = users.where(self._identity == bindparam("identity"))
        self._find_by_key = users.where(self._key == bindparam("key"))
        self._transactions = Transactions(session, model, self._find, transaction, deadline)

    def get(self, identity: str) -> User | None:
        forms = _forms(identity, self._identity)

        def work(begin: Begin) -> User | None:
            for row in self._rows(begin, forms):
                # MySQL's default collations fold case: text counts only where it is the same.
                if not isinstance(row[-1], str) or row[-1] in forms:
                    return _user(row)
            return None

        return self._transactions.run(work) if forms else None

    def get_by_key(self, key: object) -> User | None:
        def work(begin: Begin) -> User | None:
            with begin() as connection:
                row = connection.execute(self._find_by_key, {"key": key}).first()
            return None if row is None else _user(row)

        return self._transactions.run(work)

    def problems(self) -> list[str]:
        def work(begin: Begin) -> list[str]:
            with begin() as connection:
                missing_tables = problems_of_tables(connection, self._tables)
                if not missing_tables:
                    connection.execute(self._find.limit(0), {"identity": None})  # fails without a column
            return missing_tables

        return self._transactions.run(work)

    def _rows(self, begin: Begin, forms: Sequence[object]) -> Sequence[Any]:
        """Read the rows of the first form of the identity that the column takes."""
        for wanted in forms:
            try:
                with begin() as connection:
                    return connection.execute(self._find, {"identity": wanted}).all()
            except DataError:
                continue  # the one value of the statement is the identity
            except StatementError as error:
                if not isinstance(error.orig, (AttributeError, TypeError, ValueError)):
                    raise
        return []


def _user(row: Sequence[Any]) -> User:
    key, aegisspeed_id, id_number, _ = row
    return User(key, aegisspeed_id, id_number or "")


def _forms(identity: str, column: Column[Any]) -> list[object]:
    """Return what the identity may be in its column; a later form counts where an earlier one is refused."""
    value = _convert(identity, column)
    forms = [] if value is None else [value]
    if isinstance(value, str):
        with suppress(ValueError):
            forms.append(UUID(value))  # for a type of the host's own that takes no text
    return forms


def _convert(identity: str, column: Column[Any]) -> object | None:
    """Return the identity in the type of its column, or ``None`` where it cannot be of that type."""
    try:
        kind = column.type.python_type
    except NotImplementedError:
        kind = object
    if kind is object:  # a type of the host's own, which converts by itself
        kind = str
    try:
        identity.encode()  # refuses lone surrogates, on which every driver chokes
        value: object = kind(identity)
    except (ArithmeticError, TypeError, ValueError):
        return None
    # int() and Decimal() also read " 7", "+7", "0_7" and the digits of other scripts.
    if isinstance(value, (int, float, Decimal)) and str(value) != identity:
        return None
    if isinstance(value, int) and abs(value) > _BIGGEST_INTEGER:
        return None
    return None if "\0" in identity else value
