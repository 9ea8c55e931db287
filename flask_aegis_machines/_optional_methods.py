"""Looks up the methods that a store may leave out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

__all__ = ["optional_method"]


def optional_method(store: object, default: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of a store, or its default for a store that does not inherit from ours.

    Args:
        store: The store.
        default: The method of the base class, such as ``UserStore.get_any``.

    Returns:
        The bound method.
    """
    method: Callable[..., Any] = getattr(store, default.__name__, partial(default, store))
    return method
