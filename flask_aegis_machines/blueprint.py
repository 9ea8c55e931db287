"""Mounts the endpoint and turns every outcome into an envelope."""

from __future__ import annotations

import logging
import traceback
from abc import ABCMeta
from collections.abc import Callable, Mapping
from functools import partial
from inspect import iscoroutinefunction
from typing import TypeAlias

from flask import Blueprint, Response, current_app, got_request_exception, jsonify, request
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import Unauthorized as WerkzeugUnauthorized

from . import binding, body, schema, settings
from .errors import (
    INTERNAL_ERROR,
    REGISTERED,
    TOO_MANY_REQUESTS,
    AegisMachinesError,
    Answer,
    ConfigurationError,
    EndpointClosed,
    Refusal,
    Unauthorized,
    UserNotFound,
)
from .identity import Authenticate, check_installed, jwt_identity
from .records import MACHINE_FIELDS, Machine, User
from .redaction import redact
from .stores import MachineStore, UserStore

__all__ = ["REGISTER_PATH", "create_blueprint"]

#: The path of the registration, as the API document has it.
REGISTER_PATH = "/machine/register/register_machine_info_by_aegisspeed_id"

_Act: TypeAlias = Callable[[User, schema.Fields], Response]

_log = logging.getLogger(__package__)


def create_blueprint(
    *,
    users: UserStore,
    machines: MachineStore,
    authenticate: Authenticate = jwt_identity,
    name: str = "aegis_machines",
) -> Blueprint:
    """Make a blueprint that binds machines to users, for ``app.register_blueprint()``.

    Args:
        users: Where the token's user is looked up.
        machines: Where machines are bound.
        authenticate: Returns the identity of the current request's caller (a string, an integer, a UUID: it
            reaches ``users`` as ``str``). ``None``, and ``Unauthorized`` raised, are answered with 401/10401;
            anything else that it raises is the host's own and passes through.
        name: Name of the blueprint; choose another to mount it twice.

    Returns:
        A fresh, flat blueprint. It needs no app yet, and may be nested and mounted under any ``url_prefix``.

    Raises:
        ConfigurationError: A store lacks a method, or ``authenticate`` is no plain callable. At mount: a config
            key has a value of the wrong type, or the library behind ``authenticate`` is not installed.
    """
    _require_store("users", users, UserStore)
    _require_store("machines", machines, MachineStore)
    if not callable(authenticate):
        raise ConfigurationError("authenticate must be a callable that returns an identity or None.")
    if iscoroutinefunction(authenticate):
        raise ConfigurationError("authenticate must be a plain function, no async one: nobody would await it.")

    def register_machine_info_by_aegisspeed_id(**_of_prefix: object) -> Response:
        act = partial(_register, machines)
        return _serve(settings.REGISTER_OPEN, schema.REGISTRATION, users, authenticate, act)

    blueprint = Blueprint(name, __name__)
    blueprint.record(partial(_check_host, authenticate))
    blueprint.register_error_handler(429, _limited)
    blueprint.add_url_rule(REGISTER_PATH, view_func=register_machine_info_by_aegisspeed_id, methods=["POST"])
    return blueprint


def _require_store(argument: str, store: object, kind: ABCMeta) -> None:
    missing = [name for name in sorted(kind.__abstractmethods__) if not callable(getattr(store, name, None))]
    if isinstance(store, type) or missing:
        lacks = f" It lacks {', '.join(missing)}()." if missing else ""
        raise ConfigurationError(f"{argument} must be an instance of a {kind.__name__}.{lacks}")


def _check_host(authenticate: Authenticate, state: BlueprintSetupState) -> None:
    settings.check(state.app.config)
    check_installed(authenticate)


def _serve(
    switch: str, form: schema.Form, users: UserStore, authenticate: Authenticate, act: _Act
) -> Response:
    """Make every check of a request in the documented order, then act for its user."""
    try:
        if not settings.enabled(current_app.config, switch):
            raise EndpointClosed
    except Exception as error:
        return _refuse(error)
    try:
        find_user = _identify(users, authenticate)
    except AegisMachinesError as error:  # what else the host's own code raises is the host's to handle
        return _refuse(error)
    try:
        fields = form.check(body.json_object())
        user = binding.require_caller(find_user(), fields[schema.AEGISSPEED_ID])
        return act(user, fields)
    except Exception as error:
        return _refuse(error)


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
    return partial(users.get, str(identity))


def _register(machines: MachineStore, user: User, fields: schema.Fields) -> Response:
    machine = Machine(**{name: fields[name] for name in MACHINE_FIELDS})
    repeat_by_owner = settings.enabled(current_app.config, settings.REPEAT_BY_OWNER)
    # The answer is ready before the machine is bound: afterwards nothing may turn it into another.
    answer = _envelope(REGISTERED, {"machine_code": machine.machine_code, "user_id": redact(user.id_number)})
    binding.register(machines, machine, user, repeat_by_owner=repeat_by_owner)
    return answer


def _envelope(answer: Answer, data: Mapping[str, object]) -> Response:
    response = jsonify(status=answer.status, code=answer.code, result=answer.result, data=data)
    response.status_code = answer.status
    return response


def _refuse(error: Exception) -> Response:
    body.discard()
    if isinstance(error, Refusal):
        response = _envelope(error.answer, error.data)
        if isinstance(error, Unauthorized):
            response.headers["WWW-Authenticate"] = "Bearer"
        return response
    _report(error)
    return _envelope(INTERNAL_ERROR, {})


def _report(error: Exception) -> None:
    """Tell the log and the host's error reporter, as Flask does of an exception that nobody handled."""
    # Reporters send the local variables of every frame along, and those below ours hold the values in clear.
    reached: BaseException | None = error
    while reached is not None:
        traceback.clear_frames(reached.__traceback__)
        reached = reached.__cause__ or reached.__context__
    _log.error("%s failed: answered %s", request.endpoint, INTERNAL_ERROR.code, exc_info=error)
    try:
        got_request_exception.send(current_app._get_current_object(), exception=error)  # type: ignore[attr-defined]
    except Exception:
        _log.exception("A receiver of got_request_exception failed")


def _limited(error: HTTPException) -> Response:
    """Put the "no" of a limiter on this blueprint into the envelope, its headers kept."""
    body.discard()
    response = _envelope(TOO_MANY_REQUESTS, {})
    for header, value in error.get_response().headers:
        if not header.lower().startswith("content-"):
            response.headers.add(header, value)
    return response
