"""Reports the outcome of a request: to the log, to the signals, and to ``got_request_exception``.

No value of a request reaches any of them. The texts of exceptions may quote values, and error reporters send
the local variables of every frame. So a stand-in is reported in place of an exception: it has the classes,
files and lines of the exception and of its causes, and its traceback with all local variables removed.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import suppress
from uuid import UUID

from blinker import NamedSignal
from flask import Flask, current_app, got_request_exception, request

from . import signals
from ._answers import Answer
from ._bearer_token import bearer_token
from ._errors import AegisMachinesError, ConfigurationError, StoreFailure, UnexpectedError
from ._exception_text import describe
from ._records import Machine, User
from ._redaction import redact

__all__ = [
    "RequestInfo",
    "log_answer",
    "log_failure",
    "remove_values",
    "report_failure",
    "send_refused",
    "send_registered",
]

_log = logging.getLogger(__package__)


class RequestInfo:
    """What is known of the current request so far."""

    def __init__(self) -> None:
        self.user: User | None = None
        self.machine: Machine | None = None
        self.is_authenticating = False
        self.is_bound_now = False

    @property
    def redacted_id_number(self) -> str | None:
        """Return the ID number of the user, redacted; ``None`` while the user is not known."""
        return None if self.user is None else redact(self.user.id_number or "")

    @property
    def user_key(self) -> object | None:
        """Return the key of the user, redacted where it is the ID number, the AegisSpeed ID or the token."""
        if self.user is None:
            return None
        key = str(self.user.key).strip()  # a CHAR column adds blanks
        is_secret = key in (self.user.id_number, self.user.aegisspeed_id) or _is_token(self.user.key)
        return redact(key) if is_secret else self.user.key

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
            user = "an unknown user"
            if info.user is not None:
                user = f"user {info.user_key} ({info.redacted_id_number})"
            _log.info("%s: %s for %s", request.endpoint, answer.code, user, extra=_extra(info, answer))


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


def report_failure(info: RequestInfo, answer: Answer, error: BaseException) -> None:
    """Log a failure, and send it to the app's error reporters, as Flask does with an unhandled exception.

    Args:
        info: The request.
        answer: Its answer.
        error: The failure.
    """
    stand_in = _stand_in(error)
    with suppress(Exception):
        extra = _extra(info, answer)
        _log.error("%s failed: answered %s", request.endpoint, answer.code, exc_info=stand_in, extra=extra)
    try:
        _send_exception(stand_in)
    except Exception as failure:
        log_failure("A receiver of got_request_exception failed", failure)


def log_failure(message: str, error: BaseException) -> None:
    """Log a failure that changes no answer.

    Args:
        message: What failed.
        error: The failure.
    """
    with suppress(Exception):  # a log that fails
        _log.error(message, exc_info=_stand_in(error))


def remove_values(error: BaseException) -> None:
    """Clear the local variables that an exception leads to, where it is passed on to the host unchanged.

    Args:
        error: The exception. Its text is kept, since the app or the server wrote it.
    """
    for each in _chain(error):
        traceback.clear_frames(each.__traceback__)
    if not isinstance(error, Exception):
        # What was being handled when the worker was ended; its text may quote values.
        error.__cause__ = error.__context__ = None
        error.__dict__.pop("__notes__", None)


def _is_token(key: object) -> bool:
    """Return whether a key is the token of the request. A number is none: it would be guessed."""
    token = bearer_token() or ""
    if isinstance(key, UUID):
        return token.replace("-", "").lower() == key.hex
    return isinstance(key, str) and key.strip() == token


def _send_exception(stand_in: AegisMachinesError) -> None:
    """Send a stand-in while it is being handled: some reporters look at ``sys.exc_info()``."""
    app = _current_app()
    try:
        raise stand_in
    except AegisMachinesError:
        got_request_exception.send(app, _async_wrapper=app.ensure_sync, exception=stand_in)


def _stand_in(error: BaseException) -> AegisMachinesError:
    """Return what is reported in place of an exception."""
    chain = list(_chain(error))
    for each in chain:
        traceback.clear_frames(each.__traceback__)
    for kind in (ConfigurationError, StoreFailure):
        if isinstance(error, kind):  # its text has no values, and says all
            stand_in: AegisMachinesError = kind(describe(error))
            break
    else:
        stand_in = UnexpectedError(", from ".join(map(describe, chain)))
    # Without the first frame: it is still running, and has the exception in a variable.
    return stand_in.with_traceback(error.__traceback__ and error.__traceback__.tb_next)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, the members of a group, and what led to each of them, every one once."""
    waiting, seen = [error], set()
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:  # causes may go round in a circle
            continue
        seen.add(id(each))
        yield each
        members = getattr(each, "exceptions", None)  # an exception of the host may use the name for anything
        others = (*(members if isinstance(members, (list, tuple)) else ()), each.__cause__, each.__context__)
        waiting += [other for other in others if isinstance(other, BaseException)]


def _send(signal: NamedSignal, info: RequestInfo, answer: Answer) -> None:
    """Call each receiver of a signal. One that fails is logged, and changes no answer."""
    if signal.is_muted or not signal.receivers:
        return
    with suppress(Exception):  # an ID number that cannot be redacted
        app = _current_app()
        arguments = {
            "code": answer.code,
            "user_id": info.redacted_id_number,
            "user_key": info.user_key,
            "machine": info.machine,
        }
        for receiver in signal.receivers_for(app):
            try:
                app.ensure_sync(receiver)(app, **arguments)
            except Exception as error:
                log_failure(f"A receiver of {signal.name} failed", error)


def _extra(info: RequestInfo, answer: Answer) -> dict[str, object]:
    return {"code": answer.code, "endpoint": request.endpoint, "user_key": info.user_key}


def _current_app() -> Flask:
    """Return the app itself, which signals have as their sender, and not the proxy."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # of the proxy
    return app
