"""Facts of real machines, as their firmware and systems report them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from flask_aegis_machines._records import MACHINE_FIELDS

#: Values by field; ``None`` stands for a machine without the value. The file names its source.
VALUES: dict[str, list[str | None]] = json.loads(
    (Path(__file__).parents[1] / "data" / "hardware.json").read_text(encoding="utf-8")
)["values"]

FACTS = MACHINE_FIELDS[1:]


def fact_sets(absent: str | None) -> Iterator[dict[str, str | None]]:
    """Yield sets of the ten facts in which every value appears once.

    Args:
        absent: What is sent where a machine has no value: an empty string or ``None``.

    Yields:
        The facts of one machine by field.
    """
    for values in zip_longest(*(VALUES.get(name, []) for name in FACTS)):
        yield {name: absent if value is None else value for name, value in zip(FACTS, values, strict=True)}


def stored(facts: dict[str, str | None]) -> dict[str, str]:
    """Return facts as they are stored and listed: ``None`` is kept as an empty string."""
    return {name: value or "" for name, value in facts.items()}
