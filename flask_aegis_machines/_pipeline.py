"""Takes a request through its checks in the documented order, and its outcome into an envelope."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeAlias

from flask import Flask, Response, current_app, got_request_exception, jsonify, request
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import Unauthorized as WerkzeugUnauthorized

from . import _binding, _body, _config, signals
from ._endpoints import ENDPOINTS, REGISTER, Endpoint
from ._errors import (
    INTERNAL_ERROR,
    TOO_MANY_REQUESTS,
    AegisMachinesError,
    Answer,
    EndpointClosed,
    Refusal,
    Unauthorized,
    UserNotFound,
)
from ._records import Machine, User
from ._redaction import redact
from ._validation import AEGISSPEED_ID, Fields, machine_of
from .identity import Authenticate
from .stores import UserStore

__all__ = ["Act", "Case", "app_of_request", "envelope", "limited", "serve"]

_log = logging.getLogger(__package__)


class Case:
    """What is known of a request so far; no repr, and so no traceback, shows its values.

    Args:
        endpoint: The endpoint that was called.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.caller: User | None = None
        self.fields: Fields | None = None

    @property
    def owner(self) -> str | None:
        """Return the caller's ID number, redacted.

        Returns:
            The ID number, or ``None`` while the caller is not known.

        Raises:
            Exception: The host's user has no text for an ID number.
        """
        return None if self.caller is None else redact(self.caller.id_number)

    @property
    def machine(self) -> Machine | None:
        """Return the machine that is to be registered.

        Returns:
            The machine, or ``None`` while its fields are not known, or where the call is for another purpose.

        Raises:
            Nothing.
        """
        if self.fields is None or self.endpoint is not REGISTER:
            return None
        return machine_of(self.fields)


#: Does what a request asks for, all checks made, for the user who asks; returns the ready answer.
Act: TypeAlias = Callable[[User, Fields], Response]


def serve(endpoint: Endpoint, users: UserStore, authenticate: Authenticate, act: Act) -> Response:
    """Make every check of the current request in the documented order, then act.

    Args:
        endpoint: The endpoint that was called.
        users: Where the caller is looked up.
        authenticate: Returns the caller's identity.
        act: What to do once everything is checked.

    Returns:
        The answer, in its envelope.

    Raises:
        Exception: ``authenticate`` raised what is the host's own to handle.
    """
    case = Case(endpoint)
    try:
        if not _config.enabled(current_app.config, endpoint.switch):
            raise EndpointClosed
    except Exception as error:
        return _refuse(case, error)
    try:
        find_caller = _identify(users, authenticate)
    except AegisMachinesError as error:  # what else the host's own code raises is the host's to handle
        return _refuse(case, error)
    try:
        case.fields = fields = endpoint.form.check(_body.json_object())
        case.caller = find_caller()
        user = _binding.require_caller(case.caller, fields[AEGISSPEED_ID])
        response = act(user, fields)
    except Exception as error:
        return _refuse(case, error)
    _audit(case, endpoint.success)
    return response


def _identify(users: UserStore, authenticate: Authenticate) -> Callable[[], User | None]:
    """Identify the caller; return the look-up of the user, which has its turn after the body's checks."""
    try:
        identity = authenticate()
    except WerkzeugUnauthorized:
        raise Unauthorized from None
    except UserNotFound:
        return lambda: None
    if identity is None:
        raise Unauthorized
    wanted = str(identity)
    return lambda: users.get(wanted)  # whose repr, unlike that of a partial, shows no identity


def envelope(answer: Answer, data: Mapping[str, object]) -> Response:
    """Put an answer into the envelope.

    Args:
        answer: Its fixed part.
        data: Its ``data``; text, integers, dictionaries and lists alone, for any JSON provider.

    Returns:
        The response.

    Raises:
        Exception: The host's JSON provider failed.
    """
    response = jsonify(status=answer.status, code=answer.code, result=answer.result, data=data)
    response.status_code = answer.status
    return response


def limited(error: HTTPException) -> Response:
    """Put the "no" of a limiter on the blueprint into the envelope, its headers kept.

    Args:
        error: What the limiter raised.

    Returns:
        The answer.

    Raises:
        Exception: The host's JSON provider failed.
    """
    _body.discard()
    response = envelope(TOO_MANY_REQUESTS, {})
    for header, value in error.get_response().headers:
        if header.lower() not in ("content-type", "content-length", "content-encoding"):
            response.headers.add(header, value)
    name = (request.endpoint or "").rpartition(".")[2]
    for endpoint in ENDPOINTS:
        if endpoint.name == name:
            _tell_refusal(Case(endpoint), TOO_MANY_REQUESTS)
    return response


def app_of_request() -> Flask:
    """Return the app that serves the current request, as signals name their sender.

    Returns:
        The app itself, not the proxy.

    Raises:
        RuntimeError: There is no request.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    return app


def _refuse(case: Case, error: Exception) -> Response:
    _body.discard()
    if not isinstance(error, Refusal):
        _report(error)
        return envelope(INTERNAL_ERROR, {})
    response = envelope(error.answer, error.data)
    if isinstance(error, Unauthorized):
        response.headers["WWW-Authenticate"] = "Bearer"
    _tell_refusal(case, error.answer)
    return response


def _tell_refusal(case: Case, answer: Answer) -> None:
    _audit(case, answer)
    if case.endpoint is REGISTER and signals.registration_refused.receivers:
        with suppress(Exception):
            facts = {"code": answer.code, "user_id": case.owner, "machine": case.machine}
            signals.send(signals.registration_refused, app_of_request(), **facts)


def _audit(case: Case, answer: Answer) -> None:
    """Write the outcome into the log. It is final: a log that fails cannot change it."""
    with suppress(Exception):
        if _log.isEnabledFor(logging.INFO):
            owner = case.owner
            known = "nobody known" if owner is None else owner
            _log.info("%s: %s for %s", request.endpoint, answer.code, known)


def _report(error: Exception) -> None:
    """Tell the log and the host's error reporter, as Flask does of an exception that nobody handled."""
    # Reporters send the local variables of every frame along, and those below ours hold the values in clear.
    reached: BaseException | None = error
    seen: set[int] = set()  # causes may go round in a circle
    while reached is not None and id(reached) not in seen:
        seen.add(id(reached))
        traceback.clear_frames(reached.__traceback__)
        reached = reached.__cause__ or reached.__context__
    with suppress(Exception):
        _log.error("%s failed: answered %s", request.endpoint, INTERNAL_ERROR.code, exc_info=error)
    try:
        app = app_of_request()
        got_request_exception.send(app, _async_wrapper=app.ensure_sync, exception=error)
    except Exception:
        with suppress(Exception):
            _log.exception("A receiver of got_request_exception failed")
