"""Reports the outcome of a request: to the log, to the signals, and to ``got_request_exception``."""

from __future__ import annotations

import logging
import traceback
from contextlib import suppress

from blinker import NamedSignal
from flask import Flask, current_app, got_request_exception, request

from . import signals
from ._answers import INTERNAL_ERROR, Answer
from ._records import Machine, User
from ._redaction import redact

__all__ = ["RequestInfo", "log_answer", "log_failure", "report_failure", "send_refused", "send_registered"]

_log = logging.getLogger(__package__)


class RequestInfo:
    """What is known of the current request so far."""

    def __init__(self) -> None:
        self.user: User | None = None
        self.machine: Machine | None = None
        self.is_bound_now = False

    @property
    def user_id(self) -> str | None:
        """Return the ID number of the user, redacted; ``None`` while the user is not known."""
        return None if self.user is None else redact(self.user.id_number)

    def __repr__(self) -> str:
        return "<RequestInfo, values withheld>"


def log_answer(info: RequestInfo, answer: Answer) -> None:
    """Log the answer of a request. A log that fails changes no answer.

    Args:
        info: The request.
        answer: Its answer.
    """
    with suppress(Exception):
        if _log.isEnabledFor(logging.INFO):
            user_id = "an unknown user" if info.user is None else info.user_id
            _log.info("%s: %s for %s", request.endpoint, answer.code, user_id)


def send_registered(info: RequestInfo, answer: Answer) -> None:
    """Send ``machine_registered``.

    Args:
        info: The request.
        answer: Its answer.
    """
    _send(signals.machine_registered, info, answer)


def send_refused(info: RequestInfo, answer: Answer) -> None:
    """Send ``registration_refused``.

    Args:
        info: The request.
        answer: Its answer.
    """
    _send(signals.registration_refused, info, answer)


def report_failure(error: Exception) -> None:
    """Log a failure, and send it to the app's error reporters, as Flask does with an unhandled exception.

    Args:
        error: The failure.
    """
    # Error reporters send the local variables of every frame, and those below ours hold values in clear.
    reached: BaseException | None = error
    seen: set[int] = set()  # causes may go round in a circle
    while reached is not None and id(reached) not in seen:
        seen.add(id(reached))
        traceback.clear_frames(reached.__traceback__)
        reached = reached.__cause__ or reached.__context__
    with suppress(Exception):
        _log.error("%s failed: answered %s", request.endpoint, INTERNAL_ERROR.code, exc_info=error)
    try:
        app = _current_app()
        got_request_exception.send(app, _async_wrapper=app.ensure_sync, exception=error)
    except Exception as failure:
        log_failure("A receiver of got_request_exception failed", failure)


def log_failure(message: str, error: Exception) -> None:
    """Log a failure that changes no answer.

    Args:
        message: What failed.
        error: The failure.
    """
    with suppress(Exception):  # a log that fails
        _log.error(message, exc_info=error)


def _send(signal: NamedSignal, info: RequestInfo, answer: Answer) -> None:
    """Call each receiver of a signal. One that fails is logged, and changes no answer."""
    if signal.is_muted or not signal.receivers:
        return
    app = _current_app()
    with suppress(Exception):  # an ID number that cannot be redacted
        arguments = {"code": answer.code, "user_id": info.user_id, "machine": info.machine}
        for receiver in signal.receivers_for(app):
            try:
                app.ensure_sync(receiver)(app, **arguments)
            except Exception as error:
                log_failure(f"A receiver of {signal.name} failed", error)


def _current_app() -> Flask:
    """Return the app itself, which signals have as their sender, and not the proxy."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    return app
