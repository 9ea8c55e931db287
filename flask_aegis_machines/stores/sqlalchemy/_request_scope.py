"""Lets a look-up leave its connection and transaction to the next call of the same request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from sqlalchemy.engine import Connection, Engine

from ._unit_of_work import UnitOfWork

__all__ = ["RequestScope", "current_scope", "open_scope"]


class RequestScope:
    """Keeps the connection of a look-up for the next call, where the store that comes next will take it."""

    def __init__(self) -> None:
        self._unit: UnitOfWork | None = None
        self._is_shared: bool | None = None

    def decide(self, *, is_shared: bool) -> None:
        """Decide once whether connections are kept; a request inside of this request changes nothing.

        Args:
            is_shared: Whether the next store takes the connection, and needs no other one meanwhile.
        """
        if self._is_shared is None:
            self._is_shared = is_shared

    def keep(self, unit: UnitOfWork) -> None:
        """Keep a connection for the next call, or close it if nobody will take it.

        Args:
            unit: The connection with its transaction.
        """
        if self._is_shared and self._unit is None:
            self._unit = unit
        else:
            unit.close()

    def take(self, bind: Engine | Connection) -> UnitOfWork | None:
        """Return the connection that is kept, if it is one of this engine.

        One of another engine is closed: no request holds a connection while it waits for another.

        Args:
            bind: The engine, or the connection of the host.
        """
        unit, self._unit = self._unit, None
        if unit is not None and unit.bind is not bind:
            unit.close()
            return None
        return unit

    def close(self) -> None:
        """Close the connection that nobody has taken. A thread that lives longer keeps none."""
        self._is_shared = False
        if self._unit is not None:
            self._unit.close()


_current: ContextVar[RequestScope | None] = ContextVar("flask_aegis_machines_request", default=None)


def current_scope() -> RequestScope | None:
    """Return the scope of the current request, if its user store has opened one."""
    return _current.get()


@contextmanager
def open_scope(scope: RequestScope | None) -> Iterator[None]:
    """Make a scope the current one, and close it at the end.

    Args:
        scope: The scope; ``None`` for a request whose calls share nothing.

    Returns:
        A context manager.
    """
    token = _current.set(scope)
    try:
        yield
    finally:
        _current.reset(token)
        if scope is not None:
            scope.close()
