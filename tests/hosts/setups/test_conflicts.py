"""What a refused registration leaves in the server's log and in the spans of OpenTelemetry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from sqlalchemy.engine import Engine
from sqlalchemy.orm import sessionmaker

from flask_aegis_machines import bearer, create_blueprint
from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore, SQLAlchemyUserStore
from tests.servers import PostgresServer
from tests.support.hosts import REGISTER_PATH, USER_COLUMNS, example
from tests.support.live_databases import Database, mark_slow
from tests.support.setups import SetUp, make_models, make_tables

SECRET = "a value that only this machine has"


@pytest.fixture
def engine(database: Database) -> Engine:
    """The engine of a host."""
    return database.engine()


@pytest.fixture
def spans(engine: Engine) -> Iterator[InMemorySpanExporter]:
    """The spans of SQLAlchemy and of psycopg, instrumented as their documentation says."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentors = (SQLAlchemyInstrumentor(), PsycopgInstrumentor())
    # It supports SQLAlchemy below 2.1, by its metadata only.
    instrumentors[0].instrument(tracer_provider=provider, engine=engine, skip_dep_check=True)
    instrumentors[1].instrument(tracer_provider=provider)
    yield exporter
    for instrumentor in instrumentors:
        instrumentor.uninstrument()


def register_and_lose(engine: Engine) -> dict[str, object]:
    """Register a machine for one user and then for another; return the document of the second."""
    user, machine = make_models(SetUp("the usual tables"))
    make_tables(engine, SetUp("the usual tables"), user, machine)
    sessions = sessionmaker(engine)
    app = Flask("host")
    users = SQLAlchemyUserStore(sessions, user, **USER_COLUMNS)
    blueprint = create_blueprint(
        users=users, machines=SQLAlchemyMachineStore(sessions, machine), authenticate=bearer(str)
    )
    app.register_blueprint(blueprint)
    document = {**example(), "machine_cpu": SECRET}
    for number, expected in ((1, "10000"), (2, "10004")):
        document["user_AegisSpeed_id"] = f"ASD00000{number}"
        headers = {"Authorization": f"Bearer {number}"}
        answer = app.test_client().post(REGISTER_PATH, json=document, headers=headers)
        assert answer.get_json()["code"] == expected
    engine.dispose()
    return document


@pytest.mark.parametrize("database", mark_slow(["sqlite", "psycopg", "psycopg2"]), indirect=True)
def test_a_refusal_is_no_error_in_a_span(engine: Engine, spans: InMemorySpanExporter) -> None:
    """No span of a registration that was refused has an error or a value of the machine."""
    document = register_and_lose(engine)
    found = spans.get_finished_spans()
    assert any("INTO machine" in str(span.attributes) for span in found)
    assert [span.name for span in found if span.status.status_code is StatusCode.ERROR] == []
    assert [event for span in found for event in span.events] == []
    text = "".join(span.to_json() for span in found)
    assert SECRET not in text
    assert str(document["machine_code"]) not in text


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("database", mark_slow(["psycopg", "psycopg2"]), indirect=True)
def test_a_refusal_is_no_error_on_the_server(
    level: str, database: Database, postgres: PostgresServer
) -> None:
    """The log of PostgreSQL has nothing about a conflict with a committed row, at any isolation level."""
    log = Path(postgres.log)
    before = len(log.read_bytes())
    document = register_and_lose(database.engine(isolation_level=level))
    written = log.read_bytes()[before:].decode()
    assert "ERROR" not in written
    assert SECRET not in written
    assert str(document["machine_code"]) not in written


@pytest.mark.parametrize("database", mark_slow(["psycopg"]), indirect=True)
def test_the_log_would_show_a_violated_key(database: Database, postgres: PostgresServer) -> None:
    """A plain INSERT that meets the key is in the log with its code, which the stores avoid."""
    document = register_and_lose(database.engine())
    before = len(Path(postgres.log).read_bytes())
    copy = "SELECT (jsonb_populate_record(machine, '{\"id\": 9}')).* FROM machine"
    database.execute(f"!INSERT INTO machine {copy}")
    assert str(document["machine_code"]) in Path(postgres.log).read_bytes()[before:].decode()
