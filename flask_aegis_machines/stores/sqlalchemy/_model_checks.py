"""What the model of a host must be for a store to work on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import (
    CHAR,
    TIMESTAMP,
    Column,
    DateTime,
    Enum,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    inspect,
)
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.orm import Mapper
from sqlalchemy.types import TypeDecorator, UserDefinedType

from flask_aegis_machines._errors import ConfigurationError
from flask_aegis_machines._records import MACHINE_FIELDS

__all__ = ["constants_of", "is_text", "machine_columns", "mapper_of", "unpadded"]

_LENGTH = 32


def mapper_of(model: type) -> Mapper[Any]:
    """Return the mapper of a model.

    Args:
        model: The model of the host.

    Raises:
        ConfigurationError: ``model`` is not mapped.
    """
    mapper: object = inspect(model, raiseerr=False)
    if not isinstance(mapper, Mapper):
        raise ConfigurationError(f"{model!r} must be a mapped class, such as a subclass of db.Model.")
    return mapper


def machine_columns(mapper: Mapper[Any], *, filled_by_host: bool) -> dict[str, Column[Any]]:
    """Return the columns that the machine store uses; refuse a model that cannot keep the promise.

    Args:
        mapper: The mapper of the host's model.
        filled_by_host: Whether the host fills other columns at each INSERT (``values=``).

    Returns:
        The columns by attribute, all of one table.

    Raises:
        ConfigurationError: The model cannot work. The message says what to do.
    """
    name = mapper.class_.__name__
    names = (*MACHINE_FIELDS, "registered_at", "attempt", "user_id")
    if missing := [attribute for attribute in names if attribute not in mapper.columns]:
        raise ConfigurationError(
            f"{name} has no column attribute {', '.join(missing)}: add MachineMixin to its bases, "
            "and a user_id column of the type of the users' key."
        )
    columns = {attribute: mapper.columns[attribute] for attribute in names}
    # SQLAlchemy 1.4 gives an expression no table at all.
    table, *others = {getattr(column, "table", None) for column in columns.values()}
    if others or not isinstance(table, Table) or len(mapper.tables) != 1:
        raise ConfigurationError(
            f"All columns of {name} must be in one table: use a model that inherits from no other mapped "
            "table."
        )
    _require_unique_key(table, columns["machine_code"])
    for attribute in ("machine_code", "attempt"):
        _require_exact_text(columns[attribute])
    _require_timestamp(columns["registered_at"])
    if not filled_by_host:
        _require_filled_columns(table, {*columns.values(), *constants_of(mapper, by_column=True)})
    return columns


def constants_of(mapper: Mapper[Any], *, by_column: bool = False) -> dict[Any, Any]:
    """Return what the ORM would add to each row: the discriminator of a single-table hierarchy.

    Args:
        mapper: The mapper of the host's model.
        by_column: Whether the dictionary is keyed by columns rather than by their keys.
    """
    discriminator = mapper.polymorphic_on
    if not isinstance(discriminator, Column) or mapper.polymorphic_identity is None:
        return {}
    return {discriminator if by_column else discriminator.key: mapper.polymorphic_identity}


def is_text(column: Column[Any]) -> bool:
    """Return whether a column holds text, in a type of SQLAlchemy or of the host.

    Args:
        column: A column of the host's model.
    """
    kind: Any = column.type
    while isinstance(kind, TypeDecorator):
        kind = kind.impl_instance if hasattr(kind, "impl_instance") else kind.impl
    return isinstance(kind, String) and not isinstance(kind, Enum)


def unpadded(column: Column[Any]) -> Callable[[Any], Any]:
    """Return a function that removes the blanks which a CHAR column adds to text.

    Args:
        column: A column of the host's model.
    """

    def unpad(value: Any) -> Any:
        # Asked at each call: a foreign key has no type before the model that it refers to is there.
        return value.rstrip(" ") if isinstance(value, str) and isinstance(column.type, CHAR) else value

    return unpad


def _require_unique_key(table: Table, code: Column[Any]) -> None:
    keys: list[tuple[list[Any], Mapping[str, Any], bool]] = [
        (list(index.expressions), index.kwargs, False) for index in table.indexes if index.unique
    ]
    for constraint in table.constraints:
        if isinstance(constraint, (UniqueConstraint, PrimaryKeyConstraint)):
            is_deferrable = bool(constraint.deferrable or constraint.initially)
            keys.append((list(constraint.columns), constraint.kwargs, is_deferrable))
    options = [key.kwargs for key in (*table.constraints, *table.columns)]
    if any(
        name.startswith("sqlite_on_conflict") for each in options for name, value in each.items() if value
    ):
        raise ConfigurationError(
            f"A key of table {table.name} has sqlite_on_conflict, which could delete or hide the row of "
            "another owner: remove it."
        )
    # A condition (soft deletes) lets a code in twice; a prefix refuses other codes.
    whole = [
        is_deferrable
        for expressions, kwargs, is_deferrable in keys
        if len(expressions) == 1
        and expressions[0] is code
        and not any(
            option.endswith(("_where", "_length")) and value is not None for option, value in kwargs.items()
        )
    ]
    if any(whole):
        raise ConfigurationError(
            f"The unique key on {code.name} of table {table.name} is deferrable, so it decides only at the "
            "COMMIT: make it an ordinary key."
        )
    if not whole:
        raise ConfigurationError(
            f"Nothing in table {table.name} makes {code.name} unique, so a machine could get two owners: "
            "give that column unique=True, index=True, as MachineMixin does."
        )


def _require_exact_text(column: Column[Any]) -> None:
    """Require a type that stores 32 characters as they are. Such a value comes back when it is looked up."""
    table = f"Column {column.name} of table {column.table.name}"
    kind: Any = column.type
    length = getattr(kind, "length", None)
    if not is_text(column) or type(kind).__name__.upper() == "CITEXT":
        raise ConfigurationError(f"{table} must hold text that is compared exactly: use String({_LENGTH}).")
    if length is not None and (length < _LENGTH or (isinstance(kind, CHAR) and length != _LENGTH)):
        raise ConfigurationError(f"{table} must hold {_LENGTH} characters: use String({_LENGTH}).")
    dialect = DefaultDialect()
    store = kind.dialect_impl(dialect).bind_processor(dialect)
    if store is None:
        return
    samples = ["a" * _LENGTH, "A" * _LENGTH]
    try:
        stored = [store(sample) for sample in (*samples, samples[0])]
    except Exception:  # a type that asks for a real dialect: the INSERT reads its row back
        return
    if stored[0] != stored[2] or stored[0] == stored[1]:
        raise ConfigurationError(
            f"{table} has a type that stores equal values differently, or different ones alike, so a code "
            f"could get two owners: use String({_LENGTH}). Encrypt the facts of a machine instead."
        )


def _require_timestamp(column: Column[Any]) -> None:
    """Require a date with a time; a type of the host may convert anything to it."""
    if not isinstance(column.type, (DateTime, TIMESTAMP, TypeDecorator, UserDefinedType)):
        raise ConfigurationError(
            f"Column {column.name} of table {column.table.name} must hold a date and a time: use "
            "DateTime(timezone=True)."
        )


def _require_filled_columns(table: Table, filled: set[Column[Any]]) -> None:
    """Require that something fills each NOT NULL column: the stores insert without the ORM."""
    automatic = getattr(table, "autoincrement_column", None)
    if automatic is None:
        automatic = table._autoincrement_column  # its name before SQLAlchemy 2
    empty = [
        column.name
        for column in table.columns
        if not column.nullable
        and column is not automatic
        and column not in filled
        and column.default is None
        and column.server_default is None
    ]
    if empty:
        raise ConfigurationError(
            f"Nothing fills the NOT NULL columns {', '.join(empty)} of table {table.name} at an INSERT: give "
            "them a default, pass values= to SQLAlchemyMachineStore, or, where the database fills them, "
            "declare server_default=FetchedValue()."
        )
