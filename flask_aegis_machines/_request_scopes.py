"""Runs a request within the request scopes of its stores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial

from . import _reporting
from ._optional_methods import optional_method
from .stores import MachineStore, UserStore

__all__ = ["request_scopes"]


@contextmanager
def request_scopes(users: UserStore, machines: MachineStore) -> Iterator[None]:
    """Enter the request scopes of both stores, where they have one.

    A scope that fails when it is left is logged, and changes no answer: a machine may be bound by then.

    Args:
        users: Where the token's user is looked up.
        machines: Where machines are bound.

    Returns:
        A context manager.

    Raises:
        Exception: A scope could not be entered.
    """
    with ExitStack() as stack:
        for store in (users, machines):
            scope: AbstractContextManager[None] = optional_method(store, UserStore.request_scope)()
            scope.__enter__()
            stack.push(partial(_leave, scope))
        yield


def _leave(scope: AbstractContextManager[None], *raised: object) -> None:
    try:
        scope.__exit__(*raised)  # type: ignore[arg-type]  # the three arguments of __exit__
    except Exception as error:
        _reporting.log_failure("The request scope of a store failed", error)
