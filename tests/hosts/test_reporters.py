"""Error reporters of the host: what Sentry and the log get of a request, and what they never get."""

from __future__ import annotations

import builtins
import json
import logging
import multiprocessing
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import StringIO
from typing import Any, NoReturn
from unittest.mock import patch

import pytest
from cerberus import Validator
from flask import Flask, request
from flask.json.provider import DefaultJSONProvider
from flask_jwt_extended import JWTManager
from sqlalchemy import create_engine, event
from sqlalchemy.orm import sessionmaker
from sqlalchemy.pool import StaticPool
from werkzeug.exceptions import TooManyRequests

from flask_aegis_machines import (
    MachineStore,
    StoreFailure,
    User,
    UserStore,
    bearer,
    create_blueprint,
    jwt_identity,
)
from flask_aegis_machines._records import MACHINE_FIELDS
from flask_aegis_machines.identity import Authenticate
from flask_aegis_machines.signals import machine_registered, registration_refused
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore
from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore, SQLAlchemyUserStore
from tests.servers import require_module
from tests.support.conforming import HANDLES_ERRORS
from tests.support.hosts import REGISTER_PATH, USER_COLUMNS, BrokenStore, authorization
from tests.support.models import Account, Base, Machine

ENDPOINT = "aegis_machines.register_machine_info_by_aegisspeed_id"

# In every value of the request. Sentry sends lines of source too, so no code that may fail is near.
MARK = "UNMISTAK"
AEGISSPEED_ID = f"{MARK}9"
ID_NUMBER = 990101199912310987
USER = User(1, AEGISSPEED_ID, str(ID_NUMBER))
DOCUMENT = {
    **{name: f"{MARK} {name}" for name in MACHINE_FIELDS},
    "machine_code": f"{MARK:-<32}",
    "user_AegisSpeed_id": AEGISSPEED_ID,
}


FAILURES = {
    "the store": ["UnexpectedError"],
    "a driver that quotes values": ["StoreFailure"],
    "a missing table of machines": ["StoreFailure"],
    "a missing table of users": ["StoreFailure"],
    "Cerberus": ["UnexpectedError"],
    "the body's stream": ["UnexpectedError"],
    "an ID number that is no text": ["UnexpectedError"],
    "the JSON provider": ["UnexpectedError"],
    "a key of the config": ["ConfigurationError"],
    "a store that quotes values": ["UnexpectedError"],
    "a store that quotes values in a note": ["UnexpectedError"],
    "a store that raises a group": ["UnexpectedError"],
    "a store that raises what quotes values as its cause": ["StoreFailure"],
    "a user store that quotes values": ["UnexpectedError"],
}
# What passes through to the host or ends the worker, and what fails without changing the answer.
PASSING = {
    "a blocklist that fails": "theirs",
    "a user look-up that fails": "theirs",
    "a verify that fails": "theirs",
    "a worker that ends": "SystemExit",
    "an interrupt": "KeyboardInterrupt",
    "a timeout of gevent": "Timeout",
    "an interrupted look-up": "KeyboardInterrupt",
    "an interrupted authentication": "KeyboardInterrupt",
    "a receiver of a signal": "10000",
    "a receiver of a refusal": "10006",
    "a request scope": "10000",
}
EXPECTED = [
    *("10000", "10001", "10002", "10003", "10004", "10006"),
    *("10400", "10401", "10413", "10415", "10429"),
]


@dataclass
class Case:
    """A host and a request."""

    app: Flask
    document: dict[str, Any]
    headers: dict[str, str]
    content_type: str = "application/json"
    body: Breaks | None = None

    def ask(self) -> str:
        """Send the request; return the code of the answer, or the name of what was raised."""
        try:
            answer = self.app.test_client().post(
                REGISTER_PATH,
                data=json.dumps(self.document),
                content_type=self.content_type,
                headers=self.headers,
                environ_overrides={} if self.body is None else {"wsgi.input": self.body},
            )
        except BaseException as error:
            return type(error).__name__
        return answer.json.get("code", "theirs")


class Breaks:
    """A body that comes in part before its server fails."""

    def __init__(self) -> None:
        self.parts = [json.dumps(DOCUMENT).encode()[:300]]

    def read(self, size: int) -> bytes:
        if not self.parts:
            raise RuntimeError("the server broke")
        return self.parts.pop()


class Broken(DefaultJSONProvider):
    """A provider that fails at the answer to a successful registration."""

    def dumps(self, obj: Any, **options: Any) -> str:
        if obj["status"] == 200:
            raise TypeError("the provider broke")
        return super().dumps(obj, **options)


def quote_values(cursor: Any, statement: str, parameters: object, context: object) -> None:
    """Fail as drivers do, which quote the values of a statement."""
    if statement.startswith("INSERT"):
        raise sqlite3.OperationalError(f"cannot insert {parameters}")


def fail(*args: object) -> NoReturn:
    """Fail as a library with a bug does."""
    raise RuntimeError("a library broke")


class Quoting(MemoryMachineStore):
    """Fails as a team's own store may: with what it was given in its text, while it handles a failure."""

    def __init__(self, make: Callable[[str], BaseException]) -> None:
        super().__init__()
        self.make = make

    def bind(self, machine: Any, user: User) -> NoReturn:
        held = [machine.machine_code, machine.machine_cpu, user.id_number, request.headers["Authorization"]]
        try:
            raise LookupError(f"cannot store {held}")
        except LookupError:
            raise self.make(f"cannot bind {held}")  # noqa: B904


class QuotingUsers(MemoryUserStore):
    """Fails as a team's own look-up may."""

    def __init__(self, make: Callable[[str], BaseException]) -> None:
        super().__init__()
        self.make = make

    def get(self, identity: str) -> NoReturn:
        held = request.headers["Authorization"]
        raise self.make(f"cannot find {held} {MARK}")


class LeavingScope(MemoryMachineStore):
    """Fails when the scope of a request is left."""

    @contextmanager
    def request_scope(self) -> Iterator[None]:
        yield
        raise LookupError(f"{MARK} {ID_NUMBER}")


def noted(text: str) -> Exception:
    """Make an exception with values in a note, which Python has from 3.11 on."""
    error = RuntimeError("see the note")
    error.__notes__ = [text]
    return error


def group(text: str) -> Exception:
    """Make an exception with values in the members of a group, which Python has from 3.11 on."""
    kind: Any = getattr(builtins, "ExceptionGroup", RuntimeError)
    made: Exception = kind(text, [ValueError(text), kind(text, [KeyError(text)])])
    return made


def caused(text: str) -> Exception:
    """Make a failure that a store raises from another."""
    error = StoreFailure("gave up at try 3")
    error.__cause__ = ValueError(text)
    return error


def worker_timeout(text: str) -> BaseException:
    """Make what gunicorn raises in a worker that takes too long."""
    return SystemExit(1)


def interrupt(text: str) -> BaseException:
    """Make what Python raises at Ctrl-C."""
    error = KeyboardInterrupt()
    error.__dict__["__notes__"] = [text]
    return error


def gevent_timeout(text: str) -> BaseException:
    """Make what gevent raises in a greenlet whose time is over."""
    require_module("gevent", "gevent")
    from gevent import Timeout

    return Timeout(1, False)


def fail_with_values(sender: object, **facts: Any) -> NoReturn:
    """Fail as a receiver may that writes what it was given into its error."""
    raise LookupError(f"{facts['machine'].machine_code} {ID_NUMBER}")


def over_limit() -> NoReturn:
    """Refuse as a limiter does."""
    raise TooManyRequests


def end(token: str) -> NoReturn:
    """End as a worker does while it verifies a token."""
    raise interrupt(token)


def host(
    users: UserStore | None = None,
    machines: MachineStore | None = None,
    authenticate: Authenticate = jwt_identity,
) -> Flask:
    """Make a host with tokens of Flask-JWT-Extended."""
    app = Flask("host")
    app.config["JWT_SECRET_KEY"] = "a secret of the tests, of more than 32 bytes"
    JWTManager(app)
    stores = {"users": users or MemoryUserStore([USER]), "machines": machines or MemoryMachineStore()}
    app.register_blueprint(create_blueprint(**stores, authenticate=authenticate))
    return app


def host_on_sqlalchemy(stack: ExitStack, without: str = "") -> tuple[Flask, Any]:
    """Make a host with a database that may lack a table; return its engine too."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    stack.callback(engine.dispose)
    Base.metadata.create_all(engine)
    session = sessionmaker(engine)
    with session.begin() as rows:
        rows.add(Account(id=1, aegisspeed_id=USER.aegisspeed_id, id_number=USER.id_number))
    if without:
        Base.metadata.tables[without].drop(engine)
    users = SQLAlchemyUserStore(session, Account, **USER_COLUMNS)
    return host(users, SQLAlchemyMachineStore(session, Machine)), engine


QUOTING: dict[str, Callable[[str], BaseException]] = {
    "a store that quotes values": RuntimeError,
    "a store that quotes values in a note": noted,
    "a store that raises a group": group,
    "a store that raises what quotes values as its cause": caused,
    "a worker that ends": worker_timeout,
    "an interrupt": interrupt,
    "a timeout of gevent": gevent_timeout,
}


def make_passing(stack: ExitStack, situation: str) -> Case:
    """Make a good request to a host in which something fails that is not answered with 10005."""
    app, document = host(), dict(DOCUMENT)
    if situation == "a blocklist that fails":
        app.extensions["flask-jwt-extended"].token_in_blocklist_loader(fail)
    elif situation == "a user look-up that fails":
        app.extensions["flask-jwt-extended"].user_lookup_loader(fail)
    elif situation == "a verify that fails":
        app = host(authenticate=bearer(fail))
    elif situation in QUOTING:
        app = host(machines=Quoting(QUOTING[situation]))
    elif situation == "an interrupted look-up":
        app = host(QuotingUsers(interrupt))
    elif situation == "an interrupted authentication":
        app = host(authenticate=bearer(end))
    elif situation == "a receiver of a signal":
        stack.enter_context(machine_registered.connected_to(fail_with_values, app))
    elif situation == "a receiver of a refusal":
        document["user_AegisSpeed_id"] = f"{MARK}8"
        stack.enter_context(registration_refused.connected_to(fail_with_values, app))
    else:
        assert situation == "a request scope"
        app = host(machines=LeavingScope())
    app.config[HANDLES_ERRORS] = True
    app.register_error_handler(500, lambda error: ({}, 500))
    return Case(app, document, authorization(app, "1"))


def make_failure(stack: ExitStack, situation: str) -> Case:
    """Make a good request to a host in which something fails; the stack mends it."""
    app, body, document = host(), None, dict(DOCUMENT)
    if situation == "the store":
        error = RuntimeError("the store broke")
        error.__cause__ = LookupError("its reason")
        app = host(machines=BrokenStore(error))
    elif situation == "a driver that quotes values":
        app, engine = host_on_sqlalchemy(stack)
        event.listen(engine, "do_execute", quote_values)
    elif situation == "a missing table of machines":
        app, _ = host_on_sqlalchemy(stack, without="machine")
    elif situation == "a missing table of users":
        app, _ = host_on_sqlalchemy(stack, without="account")
    elif situation == "Cerberus":
        document["machine_cpu"] += "\n"  # a good document passes without it
        stack.enter_context(patch.object(Validator, "_validate_type", fail))
    elif situation == "the body's stream":
        body = Breaks()
    elif situation == "an ID number that is no text":
        app = host(MemoryUserStore([User(1, AEGISSPEED_ID, ID_NUMBER)]))
    elif situation == "the JSON provider":
        app.json = Broken(app)
    elif situation in QUOTING:
        app = host(machines=Quoting(QUOTING[situation]))
    elif situation == "a user store that quotes values":
        app = host(QuotingUsers(RuntimeError))
    else:
        assert situation == "a key of the config"
        app.config["AEGIS_MACHINES_REGISTER_OPEN"] = "no"
    return Case(app, document, authorization(app, "1"), body=body)


def make_expected(stack: ExitStack, code: str) -> Case:
    """Make a request to a host on a database that is answered with this code."""
    app, _ = host_on_sqlalchemy(stack)
    case = Case(app, dict(DOCUMENT), authorization(app, "2" if code == "10003" else "1"))
    if code == "10001":
        app.config["AEGIS_MACHINES_REGISTER_OPEN"] = False
    elif code == "10002":
        case.document["user_AegisSpeed_id"] += MARK
    elif code == "10004":
        case.ask()
    elif code == "10006":
        case.document["user_AegisSpeed_id"] = f"{MARK}8"
    elif code == "10400":
        case.document["machine_cpu"] += "\n"
    elif code == "10401":
        case.headers = {"Authorization": f"Bearer {MARK}.{MARK}.{MARK}"}
    elif code == "10413":
        case.document["unknown"] = MARK * 3000
    elif code == "10415":
        case.content_type = "text/plain"
    elif code == "10429":
        app.before_request(over_limit)
    return case


def make_deep(stack: ExitStack, depth: int) -> Case:
    """Make a request with a known field that is nested."""
    value: object = MARK
    for _ in range(depth):
        value = [value]
    app = host()
    return Case(app, {**DOCUMENT, "machine_cpu": value}, authorization(app, "1"))


def make_leak(stack: ExitStack, name: str) -> Case:
    """Make a host whose own code logs what it read of the request, and fails."""
    app = Flask(name)

    @app.post(REGISTER_PATH)
    def leak() -> NoReturn:
        document = request.get_json()
        app.logger.error("got %s", document)
        raise LookupError(name)

    app.register_error_handler(500, lambda error: ({"code": "theirs"}, 500))
    return Case(app, dict(DOCUMENT), {"Authorization": "Bearer of.nobody.at-all"})


@dataclass
class Report:
    """What came of a request: its answer, its events, and everything that was sent and logged."""

    code: str
    errors: list[dict[str, Any]]
    transactions: list[str]
    sent: str
    log: str
    token: str

    def values(self) -> list[str]:
        """Return which values of the request, the ID number and the token included, were sent or logged."""
        return values_in(self.sent + self.log, self.token)


def values_in(text: str, token: str) -> list[str]:
    """Return which values of the request, the ID number and the token included, are in a text."""
    return [value for value in (MARK, str(ID_NUMBER), token) if value in text]


def log_of(case: Case) -> tuple[str, str]:
    """Send the request of a case; return the code of the answer, and every record of every logger."""
    text = StringIO()
    handler = logging.StreamHandler(text)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        code = case.ask()
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    return code, text.getvalue()


def signature(case: Case) -> str:
    """Return the part of the token that is a secret wherever it is seen."""
    return case.headers["Authorization"].rpartition(".")[2]


_items: list[Any] = []


def start_sentry(pii: bool) -> None:
    """Set Sentry up in this process, to send as much as it can; what it sends is kept."""
    import sentry_sdk
    from sentry_sdk.integrations.flask import FlaskIntegration
    from sentry_sdk.integrations.sqlalchemy import SqlalchemyIntegration
    from sentry_sdk.transport import Transport

    class Recorder(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            _items.extend(envelope.items)

    sentry_sdk.init(
        dsn="http://key@localhost/1",
        transport=Recorder,
        integrations=[FlaskIntegration(), SqlalchemyIntegration()],
        send_default_pii=pii,
        include_local_variables=True,
        max_request_body_size="always",
        traces_sample_rate=1.0,
    )


def watch(make: Callable[[ExitStack, Any], Case], situation: Any) -> Report:
    """Send the request of a situation in a process that Sentry watches."""
    import sentry_sdk

    with ExitStack() as stack:
        case = make(stack, situation)
        _items.clear()
        code, log = log_of(case)
        sentry_sdk.flush()
    sent = [item.get_bytes().decode() for item in _items]
    events = [(item.type, json.loads(text)) for item, text in zip(_items, sent, strict=True)]
    return Report(
        code=code,
        errors=[event for kind, event in events if kind == "event"],
        transactions=[event["transaction"] for kind, event in events if kind == "transaction"],
        sent="\n".join(sent),
        log=log,
        token=signature(case),
    )


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[ProcessPoolExecutor]:
    """A process of its own, for Sentry patches Flask, logging and SQLAlchemy for good."""
    require_module("sentry_sdk", "sentry-sdk")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        yield process


@pytest.fixture(scope="module", params=[True, False], ids=["pii", "no pii"])
def report(request: pytest.FixtureRequest, elsewhere: ProcessPoolExecutor) -> Callable[..., Report]:
    """Watches a situation in that process, ``send_default_pii`` once on and once off."""
    elsewhere.submit(start_sentry, request.param).result(60)
    return lambda *situation: elsewhere.submit(watch, *situation).result(60)


@pytest.mark.parametrize("situation", FAILURES)
def test_a_failure_is_one_event_without_values(report: Callable[..., Report], situation: str) -> None:
    """Log and signal make one event of a 10005: it has the exceptions, and no value anywhere."""
    failure = report(make_failure, situation)
    assert failure.code == "10005"
    (error,) = failure.errors
    assert [each["type"] for each in error["exception"]["values"]] == FAILURES[situation]
    assert error["transaction"] == ENDPOINT
    assert failure.values() == []


@pytest.mark.parametrize("situation", PASSING)
def test_what_passes_through_has_no_values(report: Callable[..., Report], situation: str) -> None:
    """Neither the host's own exception nor the end of a worker takes a value along."""
    passing = report(make_passing, situation)
    assert passing.code == PASSING[situation]
    assert passing.errors != []
    assert passing.values() == []


@pytest.mark.parametrize("depth", [1, 500, 900])
def test_a_deep_field_is_no_event(report: Callable[..., Report], depth: int) -> None:
    """A client that nests a known field is refused, and fills no log."""
    refused = report(make_deep, depth)
    assert (refused.code, refused.errors, refused.values()) == ("10400", [], [])
    assert len(refused.log) < 1000


@pytest.mark.parametrize("code", EXPECTED)
def test_an_expected_answer_is_no_event(report: Callable[..., Report], code: str) -> None:
    """It is no error to anybody, and the transaction that is recorded of it, SQL included, has no value."""
    expected = report(make_expected, code)
    assert (expected.code, expected.errors, expected.transactions) == (code, [], [ENDPOINT])
    assert ("INTO machine" in expected.sent) == (code in ("10000", "10004"))
    assert expected.values() == []


def test_a_leak_is_found(report: Callable[..., Report]) -> None:
    """A host that does give values away is found out, in events and in the log."""
    leak = report(make_leak, "leak")
    assert leak.code == "theirs"
    assert leak.errors != []
    assert MARK in leak.sent
    assert MARK in leak.log


@pytest.mark.parametrize("situation", PASSING)
def test_a_log_of_what_passes_through_has_no_values(situation: str) -> None:
    """Records of ours and of the host's ``app.logger`` hold no value."""
    with ExitStack() as stack:
        case = make_passing(stack, situation)
        code, log = log_of(case)
    assert code == PASSING[situation]
    assert values_in(log, signature(case)) == []


@pytest.mark.parametrize("situation", FAILURES)
def test_a_log_without_sentry_gives_no_value_away(situation: str) -> None:
    """Records of ours, of Flask's ``app.logger`` and of everybody else, down to DEBUG, hold no value."""
    with ExitStack() as stack:
        case = make_failure(stack, situation)
        code, log = log_of(case)
    assert code == "10005"
    assert FAILURES[situation][-1] in log
    assert values_in(log, signature(case)) == []
