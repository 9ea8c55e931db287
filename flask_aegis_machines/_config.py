"""The config keys of the host, each read on every request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._errors import ConfigurationError

__all__ = [
    "DEFAULTS",
    "GET_OPEN",
    "REGISTER_OPEN",
    "REPEAT_BY_OWNER",
    "VERIFY_OPEN",
    "check",
    "enabled",
    "problems",
]

REGISTER_OPEN = "AEGIS_MACHINES_REGISTER_OPEN"
VERIFY_OPEN = "AEGIS_MACHINES_VERIFY_OPEN"
GET_OPEN = "AEGIS_MACHINES_GET_OPEN"
REPEAT_BY_OWNER = "AEGIS_MACHINES_REPEAT_BY_OWNER"

DEFAULTS: Mapping[str, bool] = {
    REGISTER_OPEN: True,
    VERIFY_OPEN: True,
    GET_OPEN: True,
    REPEAT_BY_OWNER: False,
}


def enabled(config: Mapping[str, Any], key: str) -> bool:
    """Tell whether a key of the config is on.

    Args:
        config: The host's config.
        key: One of :data:`DEFAULTS`.

    Returns:
        The key's value, or what it returns where it is a callable, or its default where it is not set.

    Raises:
        ConfigurationError: That is no bool: ``"false"`` is a true string, a guess could open an endpoint.
    """
    value = config.get(key, DEFAULTS[key])
    if callable(value):
        value = value()
    if not isinstance(value, bool):
        raise ConfigurationError(f"{key} must be True, False or a callable that returns one of them.")
    return value


def check(config: Mapping[str, Any]) -> None:
    """Check the keys that are set already; a callable is left for the request.

    Args:
        config: The host's config.

    Raises:
        ConfigurationError: A key is neither a bool nor a callable.
    """
    for key in DEFAULTS:
        if not callable(config.get(key)):
            enabled(config, key)


def problems(config: Mapping[str, Any]) -> list[str]:
    """Tell which endpoints are closed, for the command ``doctor``.

    Args:
        config: The host's config.

    Returns:
        A sentence for each closed endpoint, which says what to do.

    Raises:
        ConfigurationError: A key is neither a bool nor a callable that returns one.
    """
    keys = (REGISTER_OPEN, VERIFY_OPEN, GET_OPEN)
    return [
        f"An endpoint is closed: set {key} to True to open it." for key in keys if not enabled(config, key)
    ]
