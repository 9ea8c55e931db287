"""What a host's model must be for a store to work on it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, PrimaryKeyConstraint, Table, UniqueConstraint, inspect
from sqlalchemy.orm import Mapper

from flask_aegis_machines._errors import ConfigurationError
from flask_aegis_machines._records import MACHINE_FIELDS

__all__ = ["machine_columns", "mapper_of"]


def mapper_of(model: type) -> Mapper[Any]:
    """Return the mapper of a host's model.

    Args:
        model: The model.

    Returns:
        Its mapper.

    Raises:
        ConfigurationError: ``model`` is not mapped.
    """
    mapper: object = inspect(model, raiseerr=False)
    if not isinstance(mapper, Mapper):
        raise ConfigurationError(f"{model!r} must be a mapped class, such as a subclass of db.Model.")
    return mapper


def machine_columns(model: type) -> dict[str, Column[Any]]:
    """Return the columns that the machine store uses; refuse a model that cannot keep the promise.

    Args:
        model: The host's model.

    Returns:
        The columns by attribute, all of one table.

    Raises:
        ConfigurationError: ``model`` is not mapped, lacks a column, is spread over tables, or has no key that
            makes machine codes unique.
    """
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
    # SQLAlchemy 1.4 gives an expression no table at all.
    table, *others = {getattr(column, "table", None) for column in columns.values()}
    if others or not isinstance(table, Table):
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
