"""Describes exceptions without any value: the text of an exception that others raise may hold one."""

from __future__ import annotations

import traceback
from pathlib import Path

from ._errors import AegisMachinesError

__all__ = ["describe"]


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
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return type(error).__name__ + place
