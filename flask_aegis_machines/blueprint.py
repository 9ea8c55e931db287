"""Makes the blueprint: checks the arguments, and mounts the three endpoints."""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Sequence
from inspect import getattr_static

from flask import Blueprint, Response, request
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import HTTPException

from . import _cli, _config
from ._errors import ConfigurationError, Refusal
from ._host_session import ends_session
from ._optional_methods import optional_method
from ._pipeline import ListMachines, Pipeline, RegisterMachine, VerifyMachineCode
from ._refusal_checks import check_refusals
from ._sync_functions import require_sync
from .identity import Authenticate, check_installed, jwt_identity
from .stores import MachineStore, UserStore

__all__ = ["create_blueprint"]


def create_blueprint(
    *,
    users: UserStore,
    machines: MachineStore,
    authenticate: Authenticate = jwt_identity,
    name: str = "aegis_machines",
    refusals: Sequence[type[Refusal]] = (),
) -> Blueprint:
    """Make a blueprint that binds machines to users, for ``app.register_blueprint()``.

    Args:
        users: Where the token's user is looked up.
        machines: Where machines are bound.
        authenticate: Returns the identity of the current request's caller (a string, an integer, a UUID).
            ``users`` gets it as ``str``. If it returns ``None`` or raises ``Unauthorized``, the client gets
            401/10401. If it raises a 429, the client gets 429/10429 with the headers of that exception. Other
            exceptions go to the error handlers of the host.
        name: Name of the blueprint; choose another to mount it twice. With hyphens for underscores it is also
            the name of the blueprint's group of ``flask`` commands. Two blueprints of one name, nested under
            two parents, share that group: pass ``cli_group`` to ``register_blueprint()`` there.
        refusals: Subclasses of ``Refusal`` that the app defines, for ``authenticate``, stores and hooks to
            raise. The OpenAPI document that ``flask aegis-machines openapi`` prints has their answers.

    Returns:
        A new blueprint. It needs no app yet, and may be nested and mounted under any ``url_prefix``.

    Raises:
        ConfigurationError: A store lacks a method or has an async one, ``authenticate`` is no callable, is
            async or ends the session that the machine store commits in, or a refusal has a code that already
            has a meaning. At mount: a config key has a value of the wrong type, the library behind
            ``authenticate`` is missing, or a store cannot guarantee one owner for each code in this app.
    """
    _require_store("users", users, UserStore)
    _require_store("machines", machines, MachineStore)
    if not callable(authenticate):
        raise ConfigurationError("authenticate must be a callable that returns an identity or None.")
    require_sync("authenticate", authenticate)
    if ends_session(authenticate) and getattr(machines, "joins_host_transaction", False):
        raise ConfigurationError(
            'ending_session() rolls back the transaction that a machine store with transaction="host" joins: '
            "pass authenticate without it."
        )
    refusals = tuple(refusals)
    check_refusals(refusals)
    register = RegisterMachine(users, machines, authenticate)
    verify = VerifyMachineCode(users, machines, authenticate)
    get = ListMachines(users, machines, authenticate)
    pipelines: dict[str, Pipeline] = {}  # by the name of the endpoint in the app, with all its prefixes

    def register_machine_info_by_aegisspeed_id(**_url_values: object) -> Response:
        return register.handle_request()

    def verify_is_machine_code_available_by_aegisspeed_id(**_url_values: object) -> Response:
        return verify.handle_request()

    def get_user_machine_info_by_aegisspeed_id(**_url_values: object) -> Response:
        return get.handle_request()

    def too_many_requests(error: HTTPException) -> Response | HTTPException:
        pipeline = pipelines.get(request.endpoint or "")
        return error if pipeline is None else pipeline.handle_rate_limit(error)

    def mount(state: BlueprintSetupState) -> None:
        _config.check(state.app.config)
        check_installed(authenticate)
        for store in (users, machines):
            optional_method(store, UserStore.check_mount)(state.app)
        for pipeline in (register, verify, get):
            parts = (state.name_prefix, state.name, pipeline.endpoint.name)
            pipelines[".".join(filter(None, parts))] = pipeline

    blueprint = Blueprint(name, __name__, cli_group=name.replace("_", "-"))
    blueprint.record(mount)
    blueprint.register_error_handler(429, too_many_requests)
    for pipeline, view in (
        (register, register_machine_info_by_aegisspeed_id),
        (verify, verify_is_machine_code_available_by_aegisspeed_id),
        (get, get_user_machine_info_by_aegisspeed_id),
    ):
        blueprint.add_url_rule(pipeline.endpoint.path, pipeline.endpoint.name, view, methods=["POST"])
    _cli.add_commands(blueprint, users, machines, authenticate, refusals)
    return blueprint


def _require_store(argument: str, store: object, kind: ABCMeta) -> None:
    missing = [name for name in sorted(kind.__abstractmethods__) if not callable(getattr(store, name, None))]
    if isinstance(store, type) or missing:
        lacks = f" It lacks {', '.join(missing)}()." if missing else ""
        raise ConfigurationError(f"{argument} must be an instance of a {kind.__name__}.{lacks}")
    for method in dir(kind):
        if not method.startswith("_"):
            require_sync(f"{argument}.{method}()", getattr_static(store, method, None))
