"""What a page of a list costs: the database reads as many rows as the page holds, wherever it begins."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert
from sqlalchemy.engine import Connection, Engine

from flask_aegis_machines import User
from flask_aegis_machines._records import MACHINE_FIELDS
from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore
from tests.support.engines import on
from tests.support.hosts import FIRST, SECOND
from tests.support.models import NOW, Machine

LIMIT = 20


def fill(engine: Engine, owner: User, numbers: range) -> None:
    """Give a user machines, of which each three have one timestamp."""
    letter = "ab"[owner.key == SECOND.key]
    rows = [
        {
            **dict.fromkeys(MACHINE_FIELDS, "x"),
            "machine_code": f"{letter}{number:031}",
            "user_id": owner.key,
            "registered_at": NOW + timedelta(seconds=number // 3),
            "attempt": f"{number:032}",
        }
        for number in numbers
    ]
    with engine.begin() as connection:
        connection.execute(insert(Machine), rows)
    with engine.begin() as connection:  # for the planner
        analyze = "ANALYZE TABLE machine" if engine.dialect.name == "mysql" else "ANALYZE"
        connection.exec_driver_sql(analyze)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a node of PostgreSQL's plan and all below it."""
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def rows_read(connection: Connection, statement: str, parameters: Any) -> int:
    """Return how many rows or keys the server reads for a statement; fail where it sorts."""
    if connection.dialect.name == "postgresql":
        explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
        (found,) = connection.exec_driver_sql(explain, parameters).scalars()
        plan = list(nodes((json.loads(found) if isinstance(found, str) else found)[0]["Plan"]))
        assert [node["Node Type"] for node in plan if "Sort" in node["Node Type"]] == []
        read = [node.get("Actual Rows", 0) + node.get("Rows Removed by Filter", 0) for node in plan]
        return int(max(read))
    if connection.dialect.name == "mysql":
        connection.exec_driver_sql("FLUSH STATUS")
        connection.exec_driver_sql(statement, parameters).all()
        status = connection.exec_driver_sql(
            "SHOW SESSION STATUS WHERE Variable_name RLIKE 'Handler_read|Sort_'"
        )
        counted = {name: int(value) for name, value in status}
        assert counted["Sort_rows"] == 0
        return sum(value for name, value in counted.items() if name.startswith("Handler_read"))
    plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    assert [line for line in plan if "TEMP B-TREE" in line or "SCAN machine" in line] == []
    (page,) = [line for line in plan if "USING INDEX ix_machine_page" in line]
    assert "user_id=?" in page
    assert ("registered_at>?" in page) == (" OR " in statement)
    return LIMIT


@pytest.fixture
def pages(engine: Engine) -> list[tuple[str, Any]]:
    """The statements that read pages, with their parameters."""
    sent: list[tuple[str, Any]] = []

    @event.listens_for(engine, "before_cursor_execute")
    def note(connection: object, cursor: object, statement: str, parameters: object, *rest: object) -> None:
        if "ORDER BY" in statement:
            sent.append((statement, parameters))

    return sent


def test_a_page_costs_what_it_holds(
    engine: Engine, store: SQLAlchemyMachineStore, pages: list[tuple[str, Any]]
) -> None:
    """The first page and one from the middle read only their own rows, in a table of any length."""
    for numbers in (range(300), range(300, 3000)):
        for owner in (FIRST, SECOND):
            fill(engine, owner, numbers)
        first = store.list_for(FIRST, limit=LIMIT)
        later = store.list_for(FIRST, after=f"a{149:031}", limit=LIMIT)
        for page, start in ((first, 0), (later, 150)):
            expected = [f"a{number:031}" for number in range(start, start + LIMIT)]
            assert [machine.machine_code for machine in page] == expected
    with engine.connect() as connection:
        read = [rows_read(connection, *page) for page in list(pages)]
    assert len(read) == 4
    assert max(read) <= LIMIT + 6  # those with the timestamp of the mark, and the end


@on("sqlite", "mariadb-pymysql", "postgresql-psycopg")
def test_without_the_index_the_test_above_would_fail(
    engine: Engine, store: SQLAlchemyMachineStore, pages: list[tuple[str, Any]]
) -> None:
    """A table that lacks the index reads and sorts all machines of a user for each page."""
    fill(engine, FIRST, range(300))
    for index in Machine.__table__.indexes:
        if index.name == "ix_machine_page":
            with engine.begin() as connection:
                if connection.dialect.name == "mysql":  # which wants an index for the foreign key
                    connection.exec_driver_sql("CREATE INDEX ix_owner ON machine (user_id)")
                index.drop(connection)
    store.list_for(FIRST, limit=LIMIT)
    with engine.connect() as connection, pytest.raises(AssertionError):
        rows_read(connection, *pages[0])
