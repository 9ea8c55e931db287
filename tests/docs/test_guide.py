"""What the guide says, compared with the code: public names, sample lines, statements and figures."""

from __future__ import annotations

import importlib
import inspect
import logging
import pkgutil
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Column, Integer, create_engine, select, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import declarative_base, sessionmaker

import flask_aegis_machines
from flask_aegis_machines import MachineCodeTaken, _csv_import, _csv_rows, create_blueprint
from flask_aegis_machines._body import MAX_BYTES
from flask_aegis_machines._endpoint_definitions import REGISTER
from flask_aegis_machines._records import MACHINE_FIELDS
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore
from flask_aegis_machines.stores.sqlalchemy import MachineMixin, SQLAlchemyMachineStore
from flask_aegis_machines.testing import make_machine
from tests.servers import PostgresServer, require_driver
from tests.support.hosts import FIRST, REGISTER_PATH, SECOND
from tests.support.serving import served

DOCS = Path(__file__).parent.parent.parent / "docs"
LOGGER = "flask_aegis_machines"
DEADLINE = inspect.signature(SQLAlchemyMachineStore).parameters["deadline"].default


def page(name: str) -> str:
    """Return the source of a page."""
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    """Return the blocks of a page in a language."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", page(name), re.DOTALL | re.MULTILINE)


@pytest.fixture
def app() -> Flask:
    """A host whose tokens are the keys of its users."""
    app = Flask(__name__)
    users = MemoryUserStore([FIRST, SECOND])
    authenticate = flask_aegis_machines.bearer(lambda token: token if token.isdigit() else None)
    app.register_blueprint(
        create_blueprint(users=users, machines=MemoryMachineStore(), authenticate=authenticate)
    )
    return app


def public_modules() -> Iterator[str]:
    """Yield the names of the modules without a leading underscore."""
    yield flask_aegis_machines.__name__
    for module in pkgutil.walk_packages(flask_aegis_machines.__path__, f"{flask_aegis_machines.__name__}."):
        if not re.search(r"\._|\.blueprint$", module.name):
            yield module.name


def resolve(name: str) -> object:
    """Return what a full name of the page stands for."""
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def test_the_reference_has_each_public_name() -> None:
    """Each name in ``__all__`` of a public module is documented, and each documented name is public."""
    documented = re.findall(r"^\.\. auto\w+:: (\S+)$", page("api"), re.MULTILINE)
    public = {
        f"{module}.{name}" for module in public_modules() for name in importlib.import_module(module).__all__
    }
    assert set(documented) <= public
    assert len(documented) == len(set(documented))
    # A name that several modules have is documented once.
    objects = [resolve(name) for name in documented]
    assert [name for name in sorted(public) if resolve(name) not in objects] == []


def test_the_reference_names_each_public_module() -> None:
    """The table at the top and the headings have each public module."""
    headings = re.findall(r"^## `(\S+)`$", page("api"), re.MULTILINE)
    assert sorted(headings) == sorted(public_modules())


def test_the_sample_lines_are_what_is_logged(
    app: Flask, document: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A machine that is bound, the same by another user, and nobody give the lines of the page."""
    caplog.set_level(logging.INFO, LOGGER)
    client = app.test_client()
    for token, aegisspeed_id in (("1", "ASD000001"), ("2", "ASD000002"), ("nobody", "ASD000001")):
        headers = {"Authorization": f"Bearer {token}"}
        client.post(REGISTER_PATH, json={**document, "user_AegisSpeed_id": aegisspeed_id}, headers=headers)
    assert "\n".join(caplog.messages) + "\n" == blocks("signals-and-logging", "text")[0]


def test_the_attributes_of_the_page_are_in_each_record(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    """The table of attributes has those of a record, and no other."""
    caplog.set_level(logging.INFO, LOGGER)
    app.test_client().post(REGISTER_PATH)
    usual = {*vars(logging.makeLogRecord({})), "message", "asctime"}
    table = page("signals-and-logging").partition("| attribute |")[2].partition("\n\n")[0]
    assert set(vars(caplog.records[0])) - usual == set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))


@pytest.mark.parametrize("name", ["machine_registered", "registration_refused"])
def test_a_receiver_gets_the_arguments_of_the_page(app: Flask, document: dict[str, Any], name: str) -> None:
    """The table of a signal's arguments has each of them, and no other."""
    received: list[dict[str, object]] = []

    def receive(app: Flask, **arguments: object) -> None:
        received.append(arguments)

    signal = resolve(f"flask_aegis_machines.signals.{name}")
    with signal.connected_to(receive, app):  # type: ignore[attr-defined]
        for _ in range(2):
            app.test_client().post(REGISTER_PATH, json=document, headers={"Authorization": "Bearer 1"})
    table = page("signals-and-logging").partition("| argument |")[2].partition("\n\n")[0]
    assert set(received[0]) == set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    """The address of the host, which a server on loopback serves."""
    with served(app) as url:
        yield url.rstrip("/")


def test_the_request_by_curl_binds_a_machine(address: str) -> None:
    """A client's author who pastes the block gets 10000."""
    (script,) = blocks("clients", "shell")
    done = subprocess.run(
        ["bash", "-c", script],
        env={"PATH": "/usr/bin:/bin", "URL": address, "TOKEN": "1"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert '"10000"' in done.stdout, done.stdout + done.stderr


@pytest.fixture
def machine() -> Any:
    """A model of machines, whose users are of no interest."""
    attributes = {
        "__tablename__": "machine",
        "id": Column(Integer, primary_key=True),
        "user_id": Column(Integer, nullable=True),
    }
    return type("Machine", (MachineMixin, declarative_base()), attributes)


def owners_and_facts(engine: Engine, machine: Any) -> list[tuple[object, ...]]:
    """Return the owner, the code and the facts of each machine."""
    columns = [machine.user_id, *(getattr(machine, name) for name in MACHINE_FIELDS)]
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(select(*columns).order_by(machine.user_id))]


def test_erased_facts_leave_the_code_bound(machine: Any, tmp_path: Path) -> None:
    """The statement empties each fact of one user, and neither codes nor the facts of others."""
    engine = create_engine(f"sqlite:///{tmp_path}/machines.db")
    machine.metadata.create_all(engine)
    store = SQLAlchemyMachineStore(sessionmaker(engine), machine)
    mine, other = make_machine("a" * 31 + "1"), make_machine("b" * 31 + "2")
    store.bind(mine, FIRST)
    store.bind(other, SECOND)
    (erase,) = (each for each in blocks("life-of-a-binding", "sql") if "UPDATE" in each)
    with engine.begin() as connection:
        connection.execute(text(erase))
    facts = [getattr(other, name) for name in MACHINE_FIELDS[1:]]
    assert owners_and_facts(engine, machine) == [
        (FIRST.key, mine.machine_code, *[""] * len(facts)),
        (SECOND.key, other.machine_code, *facts),
    ]
    with pytest.raises(MachineCodeTaken):
        store.bind(mine, SECOND)
    engine.dispose()


def test_the_trigger_lets_nobody_free_a_code(postgres: PostgresServer, machine: Any) -> None:
    """A machine is bound as ever, and its code can be neither deleted nor changed."""
    require_driver("psycopg")
    postgres.execute("DROP DATABASE IF EXISTS guide")
    postgres.create_database("guide")
    engine = create_engine(postgres.url("psycopg", "guide"))
    machine.metadata.create_all(engine)
    (trigger,) = blocks("life-of-a-binding", "postgresql")
    with engine.begin() as connection:
        connection.execute(text(trigger))
    SQLAlchemyMachineStore(sessionmaker(engine), machine).bind(make_machine(), FIRST)
    delete = blocks("life-of-a-binding", "sql")[0]
    for statement in (delete, "UPDATE machine SET machine_code = 'another'"):
        with pytest.raises(DBAPIError, match="not moved or freed"), engine.begin() as connection:
            connection.execute(text(statement))
    assert len(owners_and_facts(engine, machine)) == 1
    engine.dispose()


@pytest.mark.parametrize(
    ("name", "stated"),
    [
        ("http-api", f"at most {MAX_BYTES // 1024} KiB"),
        ("http-api", f"longer than {MAX_BYTES // 1024} KiB"),
        ("commands", f"a batch of {_csv_import._BATCH} lines"),
        ("commands", f"longer than {_csv_rows.MAX_ROW:,} characters"),
        ("databases", f"for up to {DEADLINE:g} s"),
        ("design", f"(`deadline`, {DEADLINE:g} s)"),
        ("production", f"(`deadline`, {DEADLINE:g} seconds by default)"),
    ],
)
def test_the_limits_of_the_pages_are_those_of_the_code(name: str, stated: str) -> None:
    """A page states a limit as the code has it."""
    assert stated in re.sub(r"\s+", " ", page(name))


def test_clients_know_what_to_do_after_each_answer() -> None:
    """The table for the authors of clients has each answer of a registration."""
    table = page("clients").partition("| answer | what it means |")[2].partition("\n\n")[0]
    named = set(re.findall(r"\b(\d{3}) (10\d{3})\b", table))
    assert named == {(str(answer.status), answer.code) for answer in REGISTER.answers}


def test_the_map_names_files_that_exist() -> None:
    """Each file on the map of the design is in the package."""
    package = Path(flask_aegis_machines.__file__).parent
    names = re.findall(r"`((?:stores/sqlalchemy/)?\w+\*?\.py)`", page("design"))
    assert len(names) > 15
    assert [name for name in names if not list(package.rglob(name.rpartition("/")[2]))] == []
