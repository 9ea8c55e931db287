"""Refuses functions that have not run when their call returns: nobody would await or iterate them."""

from __future__ import annotations

from functools import partial
from inspect import CO_COROUTINE, isasyncgen, isawaitable, iscoroutine, isgenerator
from types import CodeType

from ._errors import ConfigurationError

__all__ = ["require_finished", "require_sync"]


def require_sync(argument: str, function: object) -> None:
    """Require a function that is not async.

    Args:
        argument: Name of the argument that it was passed as.
        function: The function.

    Raises:
        ConfigurationError: It is async.
    """
    call = getattr(function, "__call__", None)  # noqa: B004  # its kind is asked for, not whether it is there
    if _is_async(function) or _is_async(call):
        raise ConfigurationError(f"{argument} must be a sync function: nobody would await an async one.")


def _is_async(function: object) -> bool:
    while isinstance(function, partial):
        function = function.func
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return isinstance(code, CodeType) and bool(code.co_flags & CO_COROUTINE)  # a mock has any attribute


def require_finished(argument: str, result: object) -> None:
    """Require that a call has run: a decorator may hide that its function is async, or a generator.

    Args:
        argument: Name of the argument that the function was passed as.
        result: What the call returned.

    Raises:
        ConfigurationError: It waits for somebody to await or to iterate it.
    """
    if isawaitable(result) or isgenerator(result) or isasyncgen(result):
        if iscoroutine(result):
            result.close()  # otherwise Python warns that it was never awaited
        raise ConfigurationError(
            f"{argument} returned before it had run: pass a sync function that does not yield."
        )
