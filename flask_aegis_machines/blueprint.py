"""Makes the blueprint: checks what the host hands over, and mounts the endpoints."""

from __future__ import annotations

from abc import ABCMeta
from functools import partial

from flask import Blueprint, Response, current_app
from flask.blueprints import BlueprintSetupState

from . import _binding, _cli, _config, _pipeline, signals
from ._endpoints import GET, REGISTER, VERIFY
from ._errors import ConfigurationError, StoreFailure
from ._records import MACHINE_FIELDS, Machine, User
from ._redaction import redact
from ._validation import AFTER, LIMIT, MACHINE_CODE, MAX_PAGE, Fields, machine_of
from .identity import Authenticate, check_installed, jwt_identity, require_plain
from .stores import MachineStore, UserStore

__all__ = ["create_blueprint"]


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
            anything else that it raises is the host's own and passes through, but for a 429, which counts
            as a limiter's.
        name: Name of the blueprint; choose another to mount it twice. With its underscores as hyphens it is
            also the name of the blueprint's group of ``flask`` commands, which two blueprints of one name,
            nested under two parents, would share: pass ``cli_group`` to ``register_blueprint()`` there.

    Returns:
        A fresh, flat blueprint. It needs no app yet, and may be nested and mounted under any ``url_prefix``.

    Raises:
        ConfigurationError: A store lacks a method, or ``authenticate`` is no plain callable. At mount: a
            config key has a value of the wrong type, or the library behind ``authenticate`` is missing.
    """
    _require_store("users", users, UserStore)
    _require_store("machines", machines, MachineStore)
    if not callable(authenticate):
        raise ConfigurationError("authenticate must be a callable that returns an identity or None.")
    require_plain("authenticate", authenticate)

    def register_machine_info_by_aegisspeed_id(**_of_prefix: object) -> Response:
        return _pipeline.serve(REGISTER, users, authenticate, partial(_register, machines))

    def verify_is_machine_code_available_by_aegisspeed_id(**_of_prefix: object) -> Response:
        return _pipeline.serve(VERIFY, users, authenticate, partial(_verify, machines))

    def get_user_machine_info_by_aegisspeed_id(**_of_prefix: object) -> Response:
        return _pipeline.serve(GET, users, authenticate, partial(_get, machines))

    blueprint = Blueprint(name, __name__, cli_group=name.replace("_", "-"))
    blueprint.record(partial(_check_host, authenticate))
    blueprint.register_error_handler(429, _pipeline.limited)
    for endpoint, view in (
        (REGISTER, register_machine_info_by_aegisspeed_id),
        (VERIFY, verify_is_machine_code_available_by_aegisspeed_id),
        (GET, get_user_machine_info_by_aegisspeed_id),
    ):
        blueprint.add_url_rule(endpoint.path, endpoint.name, view, methods=["POST"])
    _cli.add_commands(blueprint, users, machines, authenticate)
    return blueprint


def _require_store(argument: str, store: object, kind: ABCMeta) -> None:
    missing = [name for name in sorted(kind.__abstractmethods__) if not callable(getattr(store, name, None))]
    if isinstance(store, type) or missing:
        lacks = f" It lacks {', '.join(missing)}()." if missing else ""
        raise ConfigurationError(f"{argument} must be an instance of a {kind.__name__}.{lacks}")


def _check_host(authenticate: Authenticate, state: BlueprintSetupState) -> None:
    _config.check(state.app.config)
    check_installed(authenticate)


def _register(machines: MachineStore, user: User, fields: Fields) -> Response:
    machine = machine_of(fields)
    repeat_by_owner = _config.enabled(current_app.config, _config.REPEAT_BY_OWNER)
    user_id = redact(user.id_number)
    # The answer is ready before the machine is bound: afterwards nothing may turn it into another.
    answer = _pipeline.envelope(REGISTER.success, {"machine_code": machine.machine_code, "user_id": user_id})
    app = _pipeline.app_of_request()
    if _binding.register(machines, machine, user, repeat_by_owner=repeat_by_owner):
        facts = {"code": REGISTER.success.code, "user_id": user_id, "machine": machine}
        signals.send(signals.machine_registered, app, **facts)
    return answer


def _verify(machines: MachineStore, user: User, fields: Fields) -> Response:
    _binding.require_available(machines, fields[MACHINE_CODE])
    return _pipeline.envelope(VERIFY.success, {})


def _get(machines: MachineStore, user: User, fields: Fields) -> Response:
    found, following = _binding.page(
        machines, user, after=fields.get(AFTER), limit=fields.get(LIMIT, MAX_PAGE)
    )
    data = {
        "user_id": redact(user.id_number),
        "machines": [_described(machine) for machine in found],
        "next": following,
    }
    return _pipeline.envelope(GET.success, data)


def _described(machine: Machine) -> dict[str, str]:
    if machine.registered_at is None:
        raise StoreFailure("list_for() returned a machine without registered_at")
    facts: dict[str, str] = {name: getattr(machine, name) for name in MACHINE_FIELDS}
    return {**facts, "registered_at": machine.registered_at.isoformat(timespec="microseconds")}
