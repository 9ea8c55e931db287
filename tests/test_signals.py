"""What is reported of an outcome: to the receivers of signals, and to the log."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn
from uuid import UUID

import pytest
from blinker import NamedSignal
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker
from werkzeug.exceptions import TooManyRequests
from werkzeug.test import TestResponse

from flask_aegis_machines import Machine, bearer, create_blueprint
from flask_aegis_machines._answers import Answer
from flask_aegis_machines._endpoint_definitions import ENDPOINTS, GET, REGISTER, VERIFY, Endpoint
from flask_aegis_machines._redaction import redact
from flask_aegis_machines.signals import machine_registered, registration_refused
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore
from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore
from flask_aegis_machines.testing import make_machine
from tests.support.hosts import FIRST, REGISTER_PATH, SECOND, authorization, example

from .support import models

Provoke = Callable[..., TestResponse]
Received = list[tuple[str, dict[str, Any]]]

LOGGER = logging.getLogger("flask_aegis_machines")
CODES = sorted({answer.code for answer in REGISTER.answers})
CALLS = [
    pytest.param(endpoint, answer, id=f"{endpoint.name.partition('_')[0]}-{answer.status}-{answer.code}")
    for endpoint in ENDPOINTS
    for answer in endpoint.answers
]
OWNER = "110***********1234"
KNOWS_OWNER = {"10000", "10004", "10006"}
KNOWS_MACHINE = {"10000", "10003", "10004", "10006"}


@pytest.fixture
def provoke(
    app: Flask, client: FlaskClient, machines: MemoryMachineStore, document: dict[str, Any]
) -> Provoke:
    """Send a request that gets the answer, the first time."""

    def send(wanted: str | Answer, endpoint: Endpoint = REGISTER) -> TestResponse:
        if isinstance(wanted, str):
            wanted = next(answer for answer in endpoint.answers if answer.code == wanted)
        status, code, _ = wanted
        body = {name: document[name] for name in endpoint.schema.rules if name in document}
        how: dict[str, Any] = {"headers": authorization(app, "1"), "json": body}
        if code == "10001":
            app.config[endpoint.config_key] = False
        elif (status, code) in {(200, "10002"), (200, "10003")}:
            machines.bind(make_machine(document["machine_code"]), FIRST if code == "10002" else SECOND)
        elif code == "10002":
            body["user_AegisSpeed_id"] = "short"
        elif code in {"10003", "10404"}:
            how["headers"] = authorization(app, "3")
        elif code == "10004":
            machines.bind(make_machine(document["machine_code"]), SECOND)
        elif code == "10005":
            machines.bind = machines.owner_of = machines.list_for = fail
        elif code == "10006":
            body["user_AegisSpeed_id"] = SECOND.aegisspeed_id
        elif code == "10400":
            body[list(endpoint.schema.rules)[-1]] = "\n"
        elif code == "10401":
            how["headers"] = {}
        elif code == "10413":
            body["machine_cpu"] = "x" * 17000
        elif code == "10415":
            how = {**how, "json": None, "data": b"{}", "content_type": "text/plain"}
        elif code == "10429":
            app.before_request(limit)
        answer = client.post(endpoint.path, **how)
        assert (answer.status_code, answer.get_json()["code"]) == (status, code)
        return answer

    return send


@pytest.fixture
def received(app: Flask) -> Iterator[Received]:
    """Note what the app sends, by signal."""
    notes: Received = []

    def note_registered(sender: Flask, **facts: Any) -> None:
        notes.append(("registered", facts))

    def note_refused(sender: Flask, **facts: Any) -> None:
        notes.append(("refused", facts))

    with (
        machine_registered.connected_to(note_registered, app),
        registration_refused.connected_to(note_refused, app),
    ):
        yield notes


def fail(*args: object, **kwargs: object) -> NoReturn:
    """Fail as a store, a receiver or a log may."""
    raise LookupError("it broke")


def listener(senders: list[Flask]) -> Callable[..., None]:
    """Make a receiver that notes who sends."""

    def receive(sender: Flask, **facts: object) -> None:
        senders.append(sender)

    return receive


def limit() -> NoReturn:
    """Say no as a limiter does."""
    raise TooManyRequests


class TestRegistered:
    """``machine_registered``."""

    def test_it_says_who_registered_what(
        self, provoke: Provoke, received: Received, document: dict[str, Any]
    ) -> None:
        """A registration sends the code of the answer, the redacted owner and the machine, once."""
        provoke("10000")
        del document["user_AegisSpeed_id"]
        ((signal, facts),) = received
        machine = facts.pop("machine")
        assert (signal, facts) == ("registered", {"code": "10000", "user_id": OWNER, "user_key": 1})
        assert replace(machine, registered_at=None) == Machine(**document)

    def test_the_machine_has_its_stored_timestamp(
        self, provoke: Provoke, received: Received, machines: MemoryMachineStore
    ) -> None:
        """The machine in the signal is the one that the store has."""
        provoke("10000")
        assert [received[0][1]["machine"]] == machines.list_for(FIRST)
        assert received[0][1]["machine"].registered_at is not None

    def test_a_repetition_by_the_owner_sends_none(
        self, app: Flask, provoke: Provoke, received: Received
    ) -> None:
        """A repeated registration stores nothing and sends no signal, though it succeeds."""
        app.config["AEGIS_MACHINES_REPEAT_BY_OWNER"] = True
        provoke("10000")
        provoke("10000")
        assert [signal for signal, _ in received] == ["registered"]

    def test_the_machine_is_committed_before(self, tmp_path: Path) -> None:
        """A receiver that looks on a connection of its own finds the machine."""
        path = tmp_path / "host.db"
        engine = create_engine(f"sqlite:///{path}")
        models.Base.metadata.create_all(engine)
        session = sessionmaker(engine)
        with session.begin() as ready:
            ready.add(models.Account(id=1, aegisspeed_id=FIRST.aegisspeed_id, id_number=FIRST.id_number))
        app = Flask("host")
        machines = SQLAlchemyMachineStore(session, models.Machine)
        stores = {"users": MemoryUserStore([FIRST]), "machines": machines}
        app.register_blueprint(create_blueprint(**stores, authenticate=lambda: 1))
        found: list[tuple[str, int]] = []

        def look(sender: Flask, machine: Machine, **facts: object) -> None:
            with closing(sqlite3.connect(path)) as connection:
                found.extend(connection.execute("SELECT machine_code, user_id FROM machine"))

        with machine_registered.connected_to(look, app):
            assert app.test_client().post(REGISTER_PATH, json=example()).status_code == 200
        engine.dispose()
        assert found == [(example()["machine_code"], 1)]


class TestRefused:
    """``registration_refused``."""

    @pytest.mark.parametrize("code", [code for code in CODES if code not in {"10000", "10005"}])
    def test_it_says_what_is_known(
        self, provoke: Provoke, received: Received, document: dict[str, Any], code: str
    ) -> None:
        """Each refusal is sent once, with the caller and the machine as far as the checks had come."""
        provoke(code)
        sent = {**document, **({"user_AegisSpeed_id": SECOND.aegisspeed_id} if code == "10006" else {})}
        del sent["user_AegisSpeed_id"]
        assert received == [
            (
                "refused",
                {
                    "code": code,
                    "user_id": OWNER if code in KNOWS_OWNER else None,
                    "user_key": 1 if code in KNOWS_OWNER else None,
                    "machine": Machine(**sent) if code in KNOWS_MACHINE else None,
                },
            )
        ]

    def test_an_internal_error_is_no_refusal(self, provoke: Provoke, received: Received) -> None:
        """What became of a registration that is answered with 10005 may be unknown: nothing is sent."""
        provoke("10005")
        assert received == []

    @pytest.mark.parametrize("endpoint", [VERIFY, GET], ids=["verify", "get"])
    @pytest.mark.parametrize("code", ["10000", "10001", "10006", "10429"])
    def test_the_other_endpoints_send_none(
        self, provoke: Provoke, received: Received, endpoint: Endpoint, code: str
    ) -> None:
        """Signals are sent for registrations only."""
        provoke(code, endpoint)
        assert received == []


@pytest.mark.parametrize(
    ("signal", "code"),
    [(machine_registered, "10000"), (registration_refused, "10004"), (registration_refused, "10429")],
)
class TestReceivers:
    """Which receivers are called, and what they cannot change."""

    def test_one_that_fails_is_logged(
        self,
        app: Flask,
        provoke: Provoke,
        received: Received,
        caplog: pytest.LogCaptureFixture,
        signal: NamedSignal,
        code: str,
    ) -> None:
        """Each failure is an error in the log; the other receivers are called, and the answer stays."""

        def fail_too(sender: Flask, **facts: object) -> NoReturn:
            fail()

        with signal.connected_to(fail, app), signal.connected_to(fail_too, app):
            provoke(code)
        assert len(received) == 1
        assert [(record.name, record.levelname, record.getMessage()) for record in caplog.records] == [
            ("flask_aegis_machines", "ERROR", f"A receiver of {signal.name} failed")
        ] * 2
        assert caplog.text.count("UnexpectedError: LookupError at test_signals.py:") == 2
        assert "LookupError: it broke" not in caplog.text

    def test_one_that_is_asynchronous_is_run(
        self, app: Flask, provoke: Provoke, signal: NamedSignal, code: str
    ) -> None:
        """As Flask does for its own signals."""
        codes: list[object] = []

        async def receive(sender: Flask, **facts: object) -> None:
            codes.append(facts["code"])

        with signal.connected_to(receive, app):
            provoke(code)
        assert codes == [code]

    def test_the_sender_is_the_app(
        self, app: Flask, provoke: Provoke, signal: NamedSignal, code: str
    ) -> None:
        """A receiver for one app is called for no other; one for no app is called for all."""
        of_all: list[Flask] = []
        of_another: list[Flask] = []
        hear_all, hear_another = listener(of_all), listener(of_another)
        with signal.connected_to(hear_all), signal.connected_to(hear_another, Flask("another")):
            provoke(code)
        assert (len(of_all), of_another) == (1, [])
        assert of_all[0] is app

    def test_a_muted_signal_is_not_sent(
        self, provoke: Provoke, received: Received, signal: NamedSignal, code: str
    ) -> None:
        """A host's tests may ask for silence."""
        with signal.muted():
            provoke(code)
        assert received == []

    def test_nothing_printed_holds_a_value(
        self, provoke: Provoke, received: Received, document: dict[str, Any], signal: NamedSignal, code: str
    ) -> None:
        """A receiver that prints all that it gets, prints no field and no ID number in clear."""
        provoke(code)
        ((_, facts),) = received
        printed = f"{facts} {facts!r}"
        assert [value for value in [*document.values(), FIRST.id_number] if value in printed] == []


class TestAudit:
    """The line that each outcome leaves in the log."""

    @pytest.mark.parametrize(("endpoint", "answer"), CALLS)
    def test_one_line_for_each_outcome(
        self, provoke: Provoke, caplog: pytest.LogCaptureFixture, endpoint: Endpoint, answer: Answer
    ) -> None:
        """It says the call, the code and the redacted caller, and no more; 10005 has its error instead."""
        caplog.set_level(logging.INFO, LOGGER.name)
        provoke(answer, endpoint)
        (record,) = caplog.records
        code = answer.code
        is_known = answer.status == 200 or code in KNOWS_OWNER
        caller = f"user 1 ({OWNER})" if is_known else "an unknown user"
        level, line = "INFO", f"aegis_machines.{endpoint.name}: {code} for {caller}"
        if code == "10005":
            level, line = "ERROR", f"aegis_machines.{endpoint.name} failed: answered 10005"
        assert (record.name, record.levelname, record.getMessage()) == (LOGGER.name, level, line)
        extra = (record.code, record.endpoint, record.user_key)  # type: ignore[attr-defined]
        user_key = 1 if is_known or code == "10005" else None
        assert extra == (code, f"aegis_machines.{endpoint.name}", user_key)

    def test_a_repetition_by_the_owner_has_its_line(
        self, app: Flask, provoke: Provoke, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It sends no signal, and is an outcome all the same."""
        app.config["AEGIS_MACHINES_REPEAT_BY_OWNER"] = True
        caplog.set_level(logging.INFO, LOGGER.name)
        provoke("10000")
        provoke("10000")
        assert caplog.messages == [f"aegis_machines.{REGISTER.name}: 10000 for user 1 ({OWNER})"] * 2

    @pytest.mark.parametrize("key", [FIRST.id_number, FIRST.aegisspeed_id])
    def test_a_key_that_is_a_value_is_redacted(
        self,
        app: Flask,
        client: FlaskClient,
        users: MemoryUserStore,
        received: Received,
        caplog: pytest.LogCaptureFixture,
        key: str,
    ) -> None:
        """Where the ID number or the AegisSpeed ID is the key, neither log nor signal has it in clear."""
        users.add(replace(FIRST, key=key))
        caplog.set_level(logging.INFO, LOGGER.name)
        assert client.post(REGISTER_PATH, json=example(), headers=authorization(app, key)).status_code == 200
        (record,) = caplog.records
        assert record.user_key == received[0][1]["user_key"] == redact(key)  # type: ignore[attr-defined]
        assert key not in caplog.text

    def test_a_padded_key_is_redacted(
        self, app: Flask, client: FlaskClient, users: MemoryUserStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A CHAR column adds blanks to the ID number that is the key."""
        users.add(replace(FIRST, key=FIRST.id_number + "  "))
        caplog.set_level(logging.INFO, LOGGER.name)
        headers = authorization(app, FIRST.id_number + "  ")
        assert client.post(REGISTER_PATH, json=example(), headers=headers).status_code == 200
        assert FIRST.id_number not in caplog.text

    @pytest.mark.parametrize("header", ["Bearer {}", "Bearer {} ", "bearer \t{}"])
    @pytest.mark.parametrize(
        ("kind", "token"),
        [(str, "sk-3f1c9a-of-the-first-user"), (UUID, "f81d4fae-7dec-11d0-a765-00a0c91e6bf6")],
        ids=["text", "uuid"],
    )
    def test_a_token_that_is_a_key_is_redacted(
        self, kind: type, token: str, header: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An API token in a column of the users is the key, unless the host names another."""
        key = kind(token)
        app = Flask("host")
        users = MemoryUserStore([replace(FIRST, key=key)])
        app.register_blueprint(
            create_blueprint(users=users, machines=MemoryMachineStore(), authenticate=bearer(lambda _: key))
        )
        caplog.set_level(logging.INFO, LOGGER.name)
        headers = {"Authorization": header.format(token)}
        assert app.test_client().post(REGISTER_PATH, json=example(), headers=headers).status_code == 200
        assert len(caplog.records) == 1
        assert token not in caplog.text

    @pytest.mark.parametrize("broken", ["filters", "handlers"])
    @pytest.mark.parametrize("code", CODES)
    def test_a_log_that_fails_changes_no_answer(
        self,
        app: Flask,
        provoke: Provoke,
        machines: MemoryMachineStore,
        received: Received,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
        broken: str,
        code: str,
    ) -> None:
        """Nor does it keep a signal from its receivers, also where one of these fails."""
        handler = logging.Handler()
        monkeypatch.setattr(handler, "emit", fail)
        parts = {"filters": fail, "handlers": handler}
        monkeypatch.setattr(LOGGER, broken, [parts[broken]])
        caplog.set_level(logging.INFO, LOGGER.name)
        with machine_registered.connected_to(fail, app), registration_refused.connected_to(fail, app):
            provoke(code)
        assert len(received) == (code != "10005")
        assert len(MemoryMachineStore.list_for(machines, FIRST)) == (code == "10000")
