"""Column types that a host encodes values with."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import String, func
from sqlalchemy.types import TypeDecorator


class Text(TypeDecorator):  # type: ignore[type-arg]
    """Text that a host encodes in a way of its own."""

    impl = String


class Random(Text):
    """Encrypts with a random salt."""

    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return value and uuid.uuid4().hex[:8] + value

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return value and value[8:]


class Reversed(Text):
    """Encrypts equal values alike, and is longer than a code."""

    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return value and "encrypted:" + value[::-1]

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return value and value[:9:-1]


class Lower(Text):
    """Keeps everything in lower case."""

    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return value and value.lower()


class LowerOnSQLite(Text):
    """Keeps everything in lower case, on one database."""

    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return value.lower() if value and dialect.name == "sqlite" else value


class LowerBySQL(Text):
    """Keeps everything in lower case, by a function of the database."""

    cache_ok = True

    def bind_expression(self, bindvalue: Any) -> Any:
        return func.lower(bindvalue)


class UpperWhenRead(Text):
    """Returns everything in upper case."""

    cache_ok = True

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return value and value.upper()
