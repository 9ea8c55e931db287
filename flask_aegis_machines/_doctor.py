"""The checks of ``flask aegis-machines doctor``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial

from flask import Flask

from . import _config, _token_setup, identity
from ._errors import Refusal
from ._exception_text import describe
from ._optional_methods import optional_method
from .identity import Authenticate
from .stores import MachineStore, Notice, UserStore

__all__ = ["run_checks"]


def run_checks(
    app: Flask,
    users: UserStore,
    machines: MachineStore,
    authenticate: Authenticate,
    *,
    trial: bool,
    with_hook: bool,
) -> Iterator[tuple[str, list[str]]]:
    """Check what the endpoints need, one check after the other. Nothing is changed.

    Args:
        app: The app.
        users: The user store.
        machines: The machine store.
        authenticate: Returns the identity of the caller of a request.
        trial: Whether to bind a random code for any user who may bind, and to roll it back.
        with_hook: Whether the hook of the machine store runs in the trial.

    Returns:
        The name of each check, with one sentence for each problem. A ``Notice`` is no problem.
    """
    yield "config", _run(partial(_config.problems, app.config))
    yield "tokens", _run(partial(_problems_of_tokens, authenticate, app))
    yield "users", _run(optional_method(users, UserStore.problems))
    yield "machines", _run(optional_method(machines, MachineStore.problems))
    if trial:
        yield "trial", _run(partial(_try_binding, users, machines, with_hook))


def _run(check: Callable[[], list[str]]) -> list[str]:
    try:
        return check()
    except Exception as error:
        return [f"could not be checked: {describe(error)}"]


def _problems_of_tokens(authenticate: Authenticate, app: Flask) -> list[str]:
    ready = inspect.unwrap(authenticate)
    if ready in (identity.jwt_identity, identity.login_identity):
        found = identity.problems(ready, app)
    else:
        found = [Notice("not checked: authenticate is neither jwt_identity nor login_identity.")]
    return found + _token_setup.problems_of_secrets(app)


def _try_binding(users: UserStore, machines: MachineStore, with_hook: bool) -> list[str]:
    user = optional_method(users, UserStore.get_sample)()
    if user is None:
        return [Notice("no trial: the user store returned no user who may bind machines.")]
    try_binding: Callable[..., list[str]] = optional_method(machines, MachineStore.try_binding)
    try:
        return try_binding(user, with_hook=with_hook)
    except Refusal as refusal:  # a hook may refuse any user, for example one with too many machines
        answer = refusal.answer
        return [Notice(f"the user of the trial may not bind a machine: {answer.code} {answer.result}.")]
