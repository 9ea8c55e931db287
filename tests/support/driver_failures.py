"""Failures of databases, as SQLAlchemy and its drivers raise them."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from sqlalchemy import event, exc
from sqlalchemy.engine import Engine


def wrap(
    driver_error: Exception, kind: type[exc.DBAPIError] = exc.OperationalError, *, lost: bool = False
) -> Exception:
    """Return the error as SQLAlchemy raises it, with values of the statement."""
    return kind("INSERT INTO machine", {"cpu": "secret"}, driver_error, connection_invalidated=lost)


def lost_connection() -> exc.OperationalError:
    """Return what SQLAlchemy raises when a server goes away, with a value in its text."""
    driver_error = Exception("server closed the connection: 'secret'")
    return exc.OperationalError("INSERT", {"cpu": "secret"}, driver_error, connection_invalidated=True)


def busy() -> exc.OperationalError:
    """Return what SQLAlchemy raises when another process locks a database of SQLite."""
    return exc.OperationalError("INSERT", {}, sqlite3.OperationalError("database is locked"))


class Fault:
    """Makes statements of an engine fail, before they run or once they are done."""

    def __init__(self, engine: Engine, verb: str, when: str, times: int, error: Exception) -> None:
        self.left, self.fired = times, 0

        @event.listens_for(engine, f"{when}_cursor_execute")
        def fail(connection: object, cursor: object, statement: str, *args: object) -> None:
            if statement.startswith(verb) and self.left:
                self.left -= 1
                self.fired += 1
                raise error


class LostCommits:
    """Loses the reply to the COMMIT of the first INSERT; then the server may stay away."""

    def __init__(self, engine: Engine, monkeypatch: pytest.MonkeyPatch, *, then_outage: bool = False) -> None:
        self.left, self.fired = 1, 0
        self.then_outage = then_outage
        self._has_inserted = False
        event.listen(engine, "before_cursor_execute", self._stay_away)
        event.listen(engine, "after_cursor_execute", self._note)
        self._commit = engine.dialect.do_commit
        monkeypatch.setattr(engine.dialect, "do_commit", self._commit_and_lose)

    def _stay_away(self, *args: object) -> None:
        if self.fired and self.then_outage:
            raise lost_connection()

    def _note(self, connection: object, cursor: object, statement: str, *args: object) -> None:
        self._has_inserted |= statement.startswith("INSERT")

    def _commit_and_lose(self, connection: Any) -> None:
        self._commit(connection)
        if self._has_inserted and self.left:
            self.left -= 1
            self.fired += 1
            self._has_inserted = False
            raise lost_connection()
