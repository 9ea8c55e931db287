"""PgBouncer in transaction mode between the app and PostgreSQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from tests.faults.app import build
from tests.faults.history import Operation, violations
from tests.faults.serving import bound
from tests.servers import PgBouncer, PostgresServer, require_driver, require_pgbouncer
from tests.support.contention import contend, named_user

# What the documentation says for PgBouncer: psycopg must not prepare statements, which a session keeps.
DOCUMENTED = {"connect_args": {"prepare_threshold": None}}


@pytest.fixture
def bouncer(request: pytest.FixtureRequest) -> Iterator[PgBouncer]:
    """PgBouncer with four sessions, before an empty database."""
    require_pgbouncer()
    postgres: PostgresServer = request.getfixturevalue("postgres")
    with PgBouncer(postgres) as bouncer:
        postgres.execute("DROP DATABASE IF EXISTS pooled")
        postgres.create_database("pooled")
        yield bouncer


def contend_through(bouncer: PgBouncer, driver: str, **options: Any) -> list[Operation]:
    """Let two users contend through the pooler; check the history, and return it."""
    require_driver(driver)
    engine = create_engine(bouncer.url(driver, "pooled"), **options)
    try:
        history = contend(build(engine, named_user), seconds=3)
    finally:
        engine.dispose()
    assert violations(history, bound(bouncer.url("psycopg2", "pooled")), []) == []
    return history


@pytest.mark.parametrize(
    ("driver", "options"),
    [
        ("psycopg", {**DOCUMENTED, "poolclass": NullPool}),
        ("psycopg", {**DOCUMENTED, "pool_size": 4}),
        ("psycopg2", {"poolclass": NullPool}),
        ("psycopg2", {"pool_size": 4}),
    ],
    ids=["psycopg without a pool", "psycopg", "psycopg2 without a pool", "psycopg2"],
)
@pytest.mark.clusters  # for its time
def test_the_documented_settings_serve_without_errors(
    bouncer: PgBouncer, driver: str, options: dict[str, Any]
) -> None:
    """Eight threads over four sessions: each code is bound once and refused to all others."""
    outcomes = Counter(each.outcome for each in contend_through(bouncer, driver, **options))
    assert outcomes.keys() == {"10000", "10004"}


@pytest.mark.clusters  # for its time
def test_prepared_statements_of_other_sessions_are_failures(bouncer: PgBouncer) -> None:
    """With psycopg's defaults statements meet the wrong session: that is 10005, never a wrong answer."""
    outcomes = Counter(each.outcome for each in contend_through(bouncer, "psycopg", pool_size=8))
    assert outcomes["10005"] > 0
    assert outcomes.keys() <= {"10000", "10004", "10005"}
