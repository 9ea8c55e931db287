"""Converts the identity of a token to a value of the column that it is looked up in."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, Enum, Integer
from sqlalchemy.engine import Dialect

__all__ = ["bind_type", "column_value"]

_BIGGEST_INTEGER = 2**63 - 1


def bind_type(column: Column[Any]) -> Any:
    """Return the type in which a value is compared with a column.

    Args:
        column: The column of the identity.

    Returns:
        ``BigInteger`` for every integer column: PostgreSQL raises for a value that exceeds the type.
    """
    return BigInteger() if isinstance(column.type, Integer) else column.type


def column_value(identity: str, column: Column[Any], dialect: Dialect) -> object | None:
    """Convert an identity to the type of its column in Python, so that no server error decides who a user is.

    Args:
        identity: The identity of a token.
        column: The column that it is looked up in.
        dialect: The dialect of the database.

    Returns:
        The value, or ``None`` where no row can have this identity.
    """
    try:
        identity.encode()  # drivers fail on lone surrogates
    except UnicodeEncodeError:
        return None
    if "\0" in identity:
        return None
    if isinstance(column.type, Enum):
        return identity if identity in column.type.enums else None
    if hasattr(column.type, "as_uuid"):
        return _uuid(identity, as_uuid=bool(column.type.as_uuid))
    try:
        python_type = column.type.python_type
    except NotImplementedError:
        python_type = object
    if python_type in (str, object):
        return _accepted(identity, column, dialect)
    try:
        value: object = python_type(identity)
    except (ArithmeticError, TypeError, ValueError):
        return None
    # int() and Decimal() also accept " 7", "+7", "0_7" and the digits of other scripts.
    if isinstance(value, (int, float, Decimal)) and str(value) != identity:
        return None
    return None if isinstance(value, int) and abs(value) > _BIGGEST_INTEGER else value


def _uuid(identity: str, *, as_uuid: bool) -> UUID | str | None:
    try:
        value = UUID(identity)
    except ValueError:
        return None
    return value if as_uuid else str(value)


def _accepted(identity: str, column: Column[Any], dialect: Dialect) -> object | None:
    """Return the identity as text or as a UUID, whichever the type of the column accepts."""
    convert = column.type.dialect_impl(dialect).bind_processor(dialect)
    if convert is None:
        return identity
    try:
        convert(identity)
    except Exception:  # whatever the type of a host raises for text
        try:
            value = UUID(identity)
            convert(value)
        except Exception:
            return None
        return value
    return identity
