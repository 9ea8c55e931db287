"""Set-ups of hosts on PostgreSQL: rights, row-level security, and tenants with a schema each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, request
from sqlalchemy import event, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import sessionmaker

from flask_aegis_machines import bearer, create_blueprint
from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore, SQLAlchemyUserStore
from tests.support.hosts import REGISTER_PATH, USER_COLUMNS, example
from tests.support.live_databases import Database, mark_slow
from tests.support.setup_runs import run
from tests.support.setups import SetUp, caller, make_models, make_tables

pytestmark = pytest.mark.clusters

RIGHTS = "lacks a right, or a row-level policy refuses the row"
SECURITY = "Row-level security applies"
OF_CALLER = "user_id = current_setting('app.caller')::integer"


def role(*statements: str, rights: str = "SELECT, INSERT, UPDATE") -> tuple[str, ...]:
    """Return statements that make the account of the host."""
    return (
        "CREATE ROLE {role} LOGIN",
        f"GRANT {rights} ON machine TO {{role}}",
        "GRANT SELECT, UPDATE ON account TO {role}",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
        *statements,
    )


def policies(see: str, lock: str) -> tuple[str, ...]:
    """Return statements that let the role store machines of the caller, and see and lock others."""
    return role(
        "ALTER TABLE machine ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY store ON machine FOR INSERT WITH CHECK ({OF_CALLER})",
        f"CREATE POLICY see ON machine FOR SELECT USING ({see})",
        f"CREATE POLICY lock ON machine FOR UPDATE USING ({lock})",
    )


def set_caller(engine: Engine) -> None:
    """Set the caller for each transaction, as hosts with row-level security do."""

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.execute(text("SELECT set_config('app.caller', :key, true)"), {"key": str(caller.get())})


SET_UPS = [
    SetUp("a role with the usual rights", role(), is_role=True),
    SetUp(
        "a role that may not lock",
        role(rights="SELECT, INSERT"),
        is_role=True,
        register="10000 10005 10000",
        log=RIGHTS,
        trial=RIGHTS,
    ),
    SetUp(
        "policies that show all codes",
        policies(see="true", lock="true"),
        is_role=True,
        engine=set_caller,
        imported="10005",
        doctor=[SECURITY],
    ),
    SetUp(
        "policies that show all codes and lock those of the caller",
        policies(see="true", lock=OF_CALLER),
        is_role=True,
        engine=set_caller,
        register="10000 10005 10000",
        log="row-level security hides the row of another user",
        doctor=[SECURITY],
    ),
    SetUp(
        "policies that hide the codes of others",
        policies(see=OF_CALLER, lock=OF_CALLER),
        is_role=True,
        engine=set_caller,
        register="10000 10005 10000",
        check="bound free",
        log="row-level security hides the row of another user",
        doctor=[SECURITY],
        is_beyond=True,
    ),
    SetUp(
        "policies that refuse each row",
        role("ALTER TABLE machine ENABLE ROW LEVEL SECURITY"),
        is_role=True,
        register="10005 10005 10005",
        log=RIGHTS,
        doctor=[SECURITY],
        trial=RIGHTS,
    ),
]


@pytest.mark.parametrize("set_up", SET_UPS, ids=str)
@pytest.mark.parametrize("database", mark_slow(["psycopg", "psycopg2"]), indirect=True)
def test_a_set_up_is_right_or_refused(
    set_up: SetUp, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody gets 10000 without the row, or for another's code; what cannot work says what to do."""
    run(set_up, database, caplog)


def tenant() -> str:
    """Return the schema that the request names."""
    return request.headers["X-Tenant"]


def at_checkout(engine: Engine) -> None:
    @event.listens_for(engine, "checkout")
    def checkout(connection: Any, record: object, proxy: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET search_path = {tenant()}")
        connection.commit()


def at_begin(engine: Engine) -> None:
    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"SET LOCAL search_path = {tenant()}")


def at_begin_for_the_session(engine: Engine) -> None:
    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"SET search_path = {tenant()}")


def at_each_statement(engine: Engine) -> None:
    @event.listens_for(engine, "before_cursor_execute")
    def before_cursor_execute(connection: object, cursor: Any, *of_event: object) -> None:
        cursor.execute(f"SET search_path = {tenant()}")


def by_translation(engine: Engine) -> Callable[[], Any]:
    """Return a factory of sessions, each with the schema of its request."""
    return lambda: sessionmaker(engine.execution_options(schema_translate_map={None: tenant()}))()


@pytest.mark.parametrize(
    "choose",
    [at_checkout, at_begin, at_begin_for_the_session, at_each_statement, by_translation],
    ids=lambda choose: choose.__name__,
)
@pytest.mark.parametrize("database", mark_slow(["psycopg", "psycopg2"]), indirect=True)
def test_a_machine_lands_in_the_tenant_of_its_request(choose: Any, database: Database) -> None:
    """Requests of two tenants take turns on one connection, and each table has the machines of its own."""
    user, machine = make_models(SetUp("the usual tables"))
    database.execute("CREATE SCHEMA one", "CREATE SCHEMA two")
    for schema in ("one", "two"):
        engine = database.engine(execution_options={"schema_translate_map": {None: schema}})
        make_tables(engine, SetUp(schema), user, machine)
        engine.dispose()
    engine = database.engine(pool_size=1, max_overflow=0)
    sessions = choose(engine) or sessionmaker(engine)
    app = Flask("host")
    users = SQLAlchemyUserStore(sessions, user, **USER_COLUMNS)
    machines = SQLAlchemyMachineStore(sessions, machine)
    app.register_blueprint(create_blueprint(users=users, machines=machines, authenticate=bearer(str)))
    codes = {schema: [f"{schema}{number:029}" for number in range(3)] for schema in ("one", "two")}
    for one, two in zip(*codes.values(), strict=True):
        for schema, code in (("one", one), ("two", two)):
            headers = {"Authorization": "Bearer 1", "X-Tenant": schema}
            for expected in ("10000", "10004"):
                document = {**example(), "machine_code": code}
                answer = app.test_client().post(REGISTER_PATH, json=document, headers=headers)
                assert answer.get_json()["code"] == expected
    stored = {
        schema: [
            code for (code,) in database.execute(f"SELECT machine_code FROM {schema}.machine ORDER BY 1")
        ]
        for schema in codes
    }
    assert stored == codes
