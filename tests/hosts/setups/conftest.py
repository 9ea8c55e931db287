"""An empty database for each set-up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.live_databases import Database, make_database


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """An empty database of the driver that the test names."""
    database = make_database(request, request.param)
    yield database
    if database.url.get_backend_name() == "mysql":  # whose catalogue has the tables of every database
        database.execute(f"DROP DATABASE {database.name}")
