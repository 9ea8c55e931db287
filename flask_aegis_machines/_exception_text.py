"""Describes exceptions without any value: the text of an exception that others raise may hold one."""

from __future__ import annotations

import traceback
from pathlib import Path

from ._errors import AegisMachinesError

__all__ = ["describe", "place_of"]


def describe(error: BaseException) -> str:
    """Describe an exception for an operator, without values.

    Args:
        error: The exception.

    Returns:
        The text of an exception of this package, which never holds a value. Of all others only the class, and
        the file and line that raised it.
    """
    # A subclass of the app may quote a value.
    is_of_package = type(error).__module__.partition(".")[0] == __package__
    if isinstance(error, AegisMachinesError) and is_of_package and str(error):
        return str(error)
    place = place_of(error)
    return f"{type(error).__name__} at {place}" if place else type(error).__name__


def place_of(error: BaseException) -> str | None:
    """Return the file and the line that raised an exception.

    Args:
        error: The exception.

    Returns:
        Such as ``views.py:12``; ``None`` for an exception that was not raised.
    """
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else None
