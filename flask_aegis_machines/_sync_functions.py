"""Refuses async functions where nobody would await them."""

from __future__ import annotations

from inspect import iscoroutinefunction

from ._errors import ConfigurationError

__all__ = ["require_sync"]


def require_sync(argument: str, function: object) -> None:
    """Require a function that is not async.

    Args:
        argument: Name of the argument that it was passed as.
        function: The function.

    Raises:
        ConfigurationError: It is async.
    """
    call = getattr(function, "__call__", None)  # noqa: B004  # its kind is asked for, not whether it is there
    if iscoroutinefunction(function) or iscoroutinefunction(call):
        raise ConfigurationError(f"{argument} must be a sync function: nobody would await an async one.")
