"""How an ID number is shown."""

from __future__ import annotations

__all__ = ["redact"]


def redact(id_number: str) -> str:
    """Star the middle of an ID number, one star for each hidden character.

    Args:
        id_number: The ID number in clear, of any length.

    Returns:
        The first 3 and last 4 characters from 15 characters on, the first and the last one from 8 to 14,
        only stars below. (The API document shows ``110***********1234`` for 18 characters.)
    """
    length = len(id_number)
    if length >= 15:
        shown_first, shown_last = 3, 4
    elif length >= 8:
        shown_first, shown_last = 1, 1
    else:
        return "*" * length
    stars = "*" * (length - shown_first - shown_last)
    return id_number[:shown_first] + stars + id_number[-shown_last:]
