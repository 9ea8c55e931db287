"""What was asked and answered, and which of it breaks the promise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

UNANSWERED = "unanswered"
DEADLINE = 4.0
_KNOWN = {"10000", "10004", "10005", UNANSWERED}


@dataclass(frozen=True)
class Operation:
    """One request: who asked for which code, when, and the code of the answer."""

    user: int
    code: str
    began: float
    ended: float
    outcome: str


def violations(
    history: Sequence[Operation], table: Iterable[tuple[str, int]], outages: Sequence[tuple[float, float]]
) -> list[str]:
    """Return what breaks the promise, in words.

    Args:
        history: All operations, none of them under way any more.
        table: Each stored code with its owner, read when everything was healed.
        outages: When the servers could not be asked; those shorter than the deadline excuse nothing.

    Returns:
        One line for each violation.
    """
    asked: dict[str, list[Operation]] = {}
    for operation in history:
        asked.setdefault(operation.code, []).append(operation)
    stored: dict[str, list[int]] = {}
    for code, owner in table:
        stored.setdefault(code, []).append(owner)

    found = [f"{each.outcome} is no answer" for each in history if each.outcome not in _KNOWN]
    for code, owners in stored.items():
        if len(owners) > 1:
            found.append(f"{code} has {len(owners)} rows")
        if not any(_may_own(each, owners[0]) for each in asked.get(code, [])):
            found.append(f"{code} is bound to {owners[0]}, who was neither acknowledged nor left in doubt")
    for code, operations in asked.items():
        if sum(each.outcome == "10000" for each in operations) > 1:
            found.append(f"{code} was acknowledged twice")
        owner = stored.get(code, [None])[0]
        found += [each for each in (_judge(one, operations, owner, outages) for one in operations) if each]
    return found


def _may_own(operation: Operation, owner: int | None) -> bool:
    """Return whether an operation can have written the row of this owner."""
    return operation.user == owner and operation.outcome != "10004"


def _judge(
    one: Operation,
    operations: Sequence[Operation],
    owner: int | None,
    outages: Sequence[tuple[float, float]],
) -> str | None:
    others = [each for each in operations if each is not one and _may_own(each, owner)]
    if one.outcome == "10000" and one.user != owner:
        return f"{one.code} was acknowledged to {one.user} and is bound to {owner}"
    if one.outcome == "10004" and not any(each.began < one.ended for each in others):
        return f"{one.code} was refused to {one.user} without a rival"
    if one.outcome == "10005" and one.user == owner and not others:
        long = [(start, end) for start, end in outages if end - start >= DEADLINE]
        if not any(start <= one.ended and one.began <= end for start, end in long):
            return f"{one.code} is bound to {one.user}, who was answered 10005"
    return None
