"""Builds a set-up on a database, and asks mount, the endpoints, the stores and ``doctor`` about it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.engine import Engine
from sqlalchemy.orm import scoped_session, sessionmaker

from flask_aegis_machines import (
    ConfigurationError,
    StoreFailure,
    User,
    bearer,
    create_blueprint,
)
from flask_aegis_machines._endpoint_definitions import GET, REGISTER, VERIFY
from flask_aegis_machines._errors import Refusal
from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore, SQLAlchemyUserStore
from flask_aegis_machines.testing import make_machine

from .hosts import USER_COLUMNS, example
from .live_databases import Database
from .setups import SetUp, assert_promise, caller, make_models, make_tables

__all__ = ["run"]

REGISTERED, IMPORTED, JOINED = range(3)


def run(set_up: SetUp, database: Database, caplog: pytest.LogCaptureFixture) -> None:
    """Build a set-up, and hold it to its expectations and to the promise.

    Args:
        set_up: The set-up.
        database: An empty database.
        caplog: What is logged.
    """
    if set_up.mount:
        with pytest.raises(ConfigurationError, match=re.escape(set_up.mount)):
            Host(set_up, database)
        return
    host = Host(set_up, database)
    answers = {"register": host.register(), "check": host.check(), "lists": host.lists()}
    logged = [str(record.exc_info[1]) for record in caplog.records if record.exc_info]
    answers.update(joined=host.join(), imported=host.bind_many())
    stored = host.rows()
    doctor, trial = host.problems(), host.trial()
    assert answers == set_up.expected(), (logged, doctor, trial)
    assert bool(logged) == bool(set_up.log) == ("10005" in set_up.register)
    assert all(set_up.log in text and set_up.code not in text for text in logged), logged
    assert_reported(set_up.doctor, doctor)
    assert_reported([set_up.trial] if set_up.trial else [], trial)
    assert host.rows() == stored, "doctor left something"
    if set_up.is_beyond:
        assert set_up.doctor
        return
    assert_promise(host.answers_by_code, host.before, stored)
    assert set_up.leftovers is None or database.execute(set_up.leftovers) == []


def assert_reported(expected: Sequence[str], reported: Sequence[str]) -> None:
    """Assert that each expected text is a part of one report, in this order, and that there is no other."""
    assert len(expected) == len(reported), reported
    assert all(part in each for part, each in zip(expected, reported, strict=True)), reported


class Host:
    """An app on the tables of a set-up, mounted."""

    def __init__(self, set_up: SetUp, database: Database) -> None:
        self.set_up, self.database = set_up, database
        models = make_models(set_up)
        self.engine = self._engine(models)
        sessions = sessionmaker(self.engine)
        self.users = SQLAlchemyUserStore(sessions, models[0], **USER_COLUMNS)
        self.model, self.store = models[1], {"deadline": 0.3, **set_up.store}
        self.machines = SQLAlchemyMachineStore(sessions, self.model, **self.store)
        self.app = Flask("host")
        blueprint = create_blueprint(users=self.users, machines=self.machines, authenticate=bearer(str))
        self.app.register_blueprint(blueprint)
        self.before = self.rows()
        #: The answers to each code, each with the key of the user who got it.
        self.answers_by_code: dict[str, list[tuple[object, str]]] = {}

    def _engine(self, models: tuple[Any, Any]) -> Engine:
        set_up, database = self.set_up, self.database
        if not set_up.mount:
            maker = database.engine()
            make_tables(maker, set_up, *models)
            maker.dispose()
            database.execute(*set_up.live)
        engine = database.engine(role=set_up.is_role, **set_up.options)
        return set_up.engine(engine) or engine

    def rows(self) -> list[tuple[str, object]]:
        """Read the table on a fresh connection."""
        rows = self.database.execute(self.set_up.rows)
        return [(self.set_up.decode(str(code)), owner) for code, owner in rows]

    def register(self) -> str:
        """Register as the first user, the second, and the second with another code."""
        return self._bind(REGISTERED, lambda code, number: self._post(REGISTER.path, code, number)["code"])

    def check(self) -> str:
        """Check the first code as both users."""
        code, _ = self.set_up.codes(REGISTERED)
        answers = [str(self._post(VERIFY.path, code, number)["code"]) for number in range(2)]
        return " ".join({"10000": "free", "10005": "failed"}.get(answer, "bound") for answer in answers)

    def lists(self) -> str:
        """List the machines of both users, and hold the lists against the answers that the users got."""
        counts = []
        for number, key in enumerate(self.set_up.keys):
            answer = self._post(GET.path, None, number)
            if answer["code"] != "10000":
                counts.append("failed")
                continue
            listed = sorted(machine["machine_code"] for machine in answer["data"]["machines"])
            own = sorted(
                [code for code, answers in self.answers_by_code.items() if (key, "10000") in answers]
                + [code for code, owner in self.before if owner == key]
            )
            assert listed == own or self.set_up.is_beyond
            counts.append(str(len(listed)))
        return " ".join(counts)

    def join(self) -> str:
        """Bind in the transaction of the host's session, which commits each."""
        session = scoped_session(sessionmaker(self.engine))
        store = SQLAlchemyMachineStore(session, self.model, **{**self.store, "transaction": "host"})

        def bind(code: str, number: int) -> str:
            caller.set(self.set_up.keys[number])
            try:
                store.bind(self._machine(code, JOINED), self._user(number))
                session.commit()
            except Refusal as refusal:
                return refusal.answer.code
            except (StoreFailure, ConfigurationError):
                return "10005"
            finally:
                session.remove()
            return "10000"

        return self._bind(JOINED, bind)

    def bind_many(self) -> str:
        """Bind in one call, as the import does."""
        code, twin = self.set_up.codes(IMPORTED)
        machines = [(code, 0), (code, 1), (twin, 1)]
        caller.set(self.set_up.keys[0])
        bindings = [(self._machine(code, IMPORTED), self._user(number)) for code, number in machines]
        try:
            refusals = self.machines.bind_many(bindings)
        except (StoreFailure, ConfigurationError):
            # Some may be bound; those are owned by who was first.
            rows = self.rows()
            for code, number in machines[::2]:
                bound = [str(owner) for found, owner in rows if found == code]
                assert bound in ([], [str(self.set_up.keys[number])])
                self.answers_by_code[code] = [(self.set_up.keys[number], "10000")] if bound else []
            return "10005"
        codes = iter("10000" if refusal is None else refusal.answer.code for refusal in refusals)
        return self._bind(IMPORTED, lambda code, number: next(codes))

    def problems(self) -> list[str]:
        """Return what ``doctor`` reports."""
        return [*_reports(self.machines.problems), *_reports(self.users.problems)]

    def trial(self) -> list[str]:
        """Return what ``doctor --trial`` reports."""

        def trial() -> list[str]:
            user = self.users.get_sample()
            assert user is not None
            return self.machines.try_binding(user)

        return _reports(trial)

    def _bind(self, way: int, bind: Callable[[str, int], str]) -> str:
        code, twin = self.set_up.codes(way)
        answers = []
        for wanted, number in ((code, 0), (code, 1), (twin, 1)):
            answers.append(bind(wanted, number))
            self.answers_by_code.setdefault(wanted, []).append((self.set_up.keys[number], answers[-1]))
        return " ".join(answers)

    def _post(self, path: str, code: str | None, number: int) -> dict[str, Any]:
        client: FlaskClient = self.app.test_client()
        caller.set(self.set_up.keys[number])
        headers = {"Authorization": f"Bearer {self.set_up.keys[number]}"}
        document = {**example(), "user_AegisSpeed_id": f"ASD00000{number + 1}"}
        if code is not None:
            document["machine_code"] = code
        answer: dict[str, Any] = client.post(path, json=document, headers=headers).get_json()
        return answer

    def _machine(self, code: str, way: int) -> Any:
        return replace(make_machine(code), windows_uuid=f"way {way}")

    def _user(self, number: int) -> User:
        return User(self.set_up.keys[number], f"ASD00000{number + 1}", "110101199003071234")


def _reports(ask: Callable[[], list[str]]) -> list[str]:
    try:
        return ask()
    except (StoreFailure, ConfigurationError) as error:
        return [str(error)]
