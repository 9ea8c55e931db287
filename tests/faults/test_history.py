"""The checker accepts what is legal and catches each kind of violation."""

from __future__ import annotations

import pytest

from .history import UNANSWERED, Operation, violations

LEGAL: dict[str, tuple[list[Operation], list[tuple[str, int]]]] = {
    "one owner": ([Operation(1, "a", 0, 1, "10000"), Operation(2, "a", 0, 1, "10004")], [("a", 1)]),
    "refused to the owner": (
        [Operation(1, "a", 0, 1, "10000"), Operation(1, "a", 2, 3, "10004")],
        [("a", 1)],
    ),
    "in doubt, bound": ([Operation(1, "a", 0, 1, UNANSWERED), Operation(2, "a", 2, 3, "10004")], [("a", 1)]),
    "in doubt, not bound": ([Operation(1, "a", 0, 1, UNANSWERED)], []),
    "failed": ([Operation(1, "a", 0, 1, "10005")], []),
    "failed, then bound": ([Operation(1, "a", 0, 1, "10005"), Operation(1, "a", 2, 3, "10000")], [("a", 1)]),
}
ILLEGAL: dict[str, tuple[list[Operation], list[tuple[str, int]]]] = {
    "was acknowledged twice": (
        [Operation(1, "a", 0, 1, "10000"), Operation(1, "a", 0, 1, "10000")],
        [("a", 1)],
    ),
    "has 2 rows": (
        [Operation(1, "a", 0, 1, "10000"), Operation(2, "a", 0, 1, UNANSWERED)],
        [("a", 1), ("a", 2)],
    ),
    "acknowledged to 1 and is bound to None": ([Operation(1, "a", 0, 1, "10000")], []),
    "acknowledged to 1 and is bound to 2": (
        [Operation(1, "a", 0, 1, "10000"), Operation(2, "a", 0, 1, UNANSWERED)],
        [("a", 2)],
    ),
    "without a rival": ([Operation(1, "a", 0, 1, "10004")], []),
    "refused to 1 without a rival": (
        [Operation(1, "a", 0, 1, "10004"), Operation(2, "a", 2, 3, "10000")],
        [("a", 2)],
    ),
    "who was answered 10005": ([Operation(1, "a", 0, 1, "10005")], [("a", 1)]),
    "who was neither acknowledged": ([Operation(1, "a", 0, 1, "10000")], [("a", 1), ("b", 1)]),
    "is bound to 2, who was neither acknowledged": (
        [Operation(1, "a", 0, 1, "10005"), Operation(2, "a", 0, 1, "10004")],
        [("a", 2)],
    ),
    "500 text/html is no answer": ([Operation(1, "a", 0, 1, "500 text/html")], []),
}


@pytest.mark.parametrize(("history", "table"), LEGAL.values(), ids=LEGAL)
def test_what_is_legal_is_accepted(history: list[Operation], table: list[tuple[str, int]]) -> None:
    """A history that keeps the promise has no violation."""
    assert violations(history, table, []) == []


@pytest.mark.parametrize("said", ILLEGAL)
def test_what_is_not_is_caught(said: str) -> None:
    """Each way of breaking the promise is named."""
    assert any(said in violation for violation in violations(*ILLEGAL[said], []))


@pytest.mark.parametrize(("outage", "excused"), [((0.5, 6), True), ((0.5, 2), False), ((3, 9), False)])
def test_only_a_long_outage_excuses_a_hidden_row(outage: tuple[float, float], excused: bool) -> None:
    """10005 for a row that is there is forgiven only in an outage beyond the deadline."""
    found = violations([Operation(1, "a", 0, 1, "10005")], [("a", 1)], [outage])
    assert (found == []) is excused
