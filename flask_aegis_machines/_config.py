"""The config keys of this package. Each is read on every request."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from ._errors import ConfigurationError
from ._exception_text import describe
from ._sync_functions import require_sync
from .stores import Notice

__all__ = [
    "DEFAULTS",
    "GET_OPEN",
    "REGISTER_OPEN",
    "REPEAT_BY_OWNER",
    "VERIFY_OPEN",
    "check",
    "get_flag",
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

_PREFIX = "AEGIS_MACHINES_"
# A key without the prefix counts as misspelt only where it is this similar to a known key, from 0 to 1.
_SIMILAR = 0.9


def get_flag(config: Mapping[str, Any], key: str) -> bool:
    """Return the value of a config key.

    Args:
        config: The config of the app.
        key: A key of :data:`DEFAULTS`.

    Returns:
        The value, or the return value of a callable, or the default of a key that is not set.

    Raises:
        ConfigurationError: The value is not a bool. ``"false"`` is true for Python, so a guess could open an
            endpoint.
    """
    value = config.get(key, DEFAULTS[key])
    if callable(value):
        value = value()
    if not isinstance(value, bool):
        raise ConfigurationError(f"{key} must be True, False or a callable that returns one of them.")
    return value


def check(config: Mapping[str, Any]) -> None:
    """Check the values of the config keys at mount. A callable is not called before a request.

    Args:
        config: The config of the app.

    Raises:
        ConfigurationError: A value is neither a bool nor a sync callable.
    """
    for key in DEFAULTS:
        if callable(config.get(key)):
            require_sync(key, config[key])
        else:
            get_flag(config, key)


def problems(config: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the config keys. Used by ``flask aegis-machines doctor``.

    Args:
        config: The config of the app.

    Returns:
        One sentence for each key that cannot be read or is misspelt, and a notice for each closed endpoint.
    """
    found = [line for key in DEFAULTS for line in _problems_of_value(config, key)]
    return found + [line for key in config if key not in DEFAULTS for line in _problems_of_name(key)]


def _problems_of_value(config: Mapping[str, Any], key: str) -> list[str]:
    try:
        is_on = get_flag(config, key)
    except ConfigurationError as error:
        return [str(error)]
    except Exception as error:
        if type(error) is RuntimeError:  # Flask raises it outside of a request, and a command has none
            return [Notice(f"{key} is not checked: its callable raised a RuntimeError outside of a request.")]
        return [f"{key} cannot be read: {describe(error)}."]
    return [] if is_on or key == REPEAT_BY_OWNER else [Notice(f"{key} closes its endpoint.")]


def _problems_of_name(key: str) -> list[str]:
    is_ours = key.upper().startswith(_PREFIX)
    nearest = get_close_matches(key.upper(), DEFAULTS, n=1, cutoff=0 if is_ours else _SIMILAR)
    return [f"{key} is no config key, so it has no effect: did you mean {name}?" for name in nearest]
