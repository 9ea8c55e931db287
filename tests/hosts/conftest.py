"""What all hosts of these tests have in common."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

# The realistic host is written for Flask-SQLAlchemy 3.1 and SQLAlchemy 2.
_version = tuple(map(int, version("Flask-SQLAlchemy").split(".")[:2]))
collect_ignore = ["realistic"] if _version < (3, 1) else []


@pytest.fixture(autouse=True)
def disposed_engines() -> Iterator[None]:
    """Close what the pools of a test's hosts keep open."""
    used: set[Engine] = set()

    def remember(*of_event: Any) -> None:
        used.add(of_event[0].engine)

    event.listen(Engine, "engine_connect", remember)
    yield
    event.remove(Engine, "engine_connect", remember)
    for engine in used:
        engine.dispose()
