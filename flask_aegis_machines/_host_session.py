"""Ends what authentication began in the session of the host."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Any

from ._errors import ConfigurationError
from ._sync_functions import require_sync

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

__all__ = ["ending_session", "ends_session"]

_MARK = "_flask_aegis_machines_ends_session"

_PENDING = (
    "The session has rows that are not committed, which ending_session() would undo: commit them before, or "
    "where authentication writes them, or pass authenticate without ending_session()."
)


def ending_session(
    authenticate: Callable[[], object | None], session: Callable[[], Session]
) -> Callable[[], object | None]:
    """Wrap an ``authenticate`` that reads the database, so that it leaves no transaction open.

    A blocklist or a user look-up begins a transaction in the session of the host, which then holds a
    connection while the stores wait for another: with as many threads as connections the app locks up. And
    where the connection dies meanwhile, the session fails after the machine is bound.

    Args:
        authenticate: As for ``create_blueprint()``.
        session: Zero-argument callable that returns the session which ``authenticate`` uses: ``db.session``
            of Flask-SQLAlchemy, or ``lambda: db.session``.

    Returns:
        A callable for ``create_blueprint(authenticate=…)``. It rolls the session back after ``authenticate``,
        whether that returned or raised. It raises ``ConfigurationError`` where this would undo rows that are
        pending in the session, or that ``authenticate`` has written. It cannot see what was flushed before,
        nor what was written by bulk methods, on the session's connection, or by SQL as text: those are
        undone.

    Raises:
        ConfigurationError: ``authenticate`` is async, or ``session`` is no callable.
    """
    require_sync("authenticate", authenticate)
    if not callable(session):
        raise ConfigurationError("session must be a callable that returns a Session, such as db.session.")

    @wraps(authenticate)
    def authenticate_and_end() -> object | None:
        from sqlalchemy import event

        current = _current(session)
        _require_no_pending_rows(current)
        flushed: list[object] = []

        def note_flush(*event_arguments: object) -> None:
            flushed.append(event_arguments)

        def note_statement(state: Any) -> None:
            if state.is_insert or state.is_update or state.is_delete:
                flushed.append(state)

        def forget_flush(*event_arguments: object) -> None:
            if not current.in_nested_transaction():  # the release of a savepoint makes nothing durable
                flushed.clear()

        listeners: dict[str, Callable[..., None]] = {
            "after_flush": note_flush,
            "do_orm_execute": note_statement,
            "after_commit": forget_flush,
        }
        for name, listener in listeners.items():
            event.listen(current, name, listener)
        try:
            identity = authenticate()
            _require_no_pending_rows(current)
            if flushed:
                raise ConfigurationError(_PENDING)
            return identity
        finally:
            for name, listener in listeners.items():
                event.remove(current, name, listener)
            _end(current)

    setattr(authenticate_and_end, _MARK, True)
    return authenticate_and_end


def ends_session(authenticate: object) -> bool:
    """Return whether an ``authenticate`` was made by ``ending_session``.

    Args:
        authenticate: What the host passed to ``create_blueprint()``.
    """
    return getattr(authenticate, _MARK, False) is True


def _current(session: Callable[[], Any]) -> Session:
    from sqlalchemy.orm import scoped_session

    current, again = session(), session()
    if current is not again:
        raise ConfigurationError(
            "ending_session() needs the session that authenticate uses: pass db.session or another "
            "scoped_session, or a lambda that returns the session of the request; a sessionmaker makes a new "
            "one each time."
        )
    thread_session: Session = current() if isinstance(current, scoped_session) else current
    return thread_session


def _require_no_pending_rows(session: Session) -> None:
    if session.new or session.deleted or any(map(session.is_modified, session.dirty)):
        raise ConfigurationError(_PENDING)


def _end(session: Session) -> None:
    """Roll a session back. Where its connection is dead, give the connection up; the identity is known."""
    try:
        session.rollback()
    except Exception:
        with suppress(Exception):
            session.invalidate()
