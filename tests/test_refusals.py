"""Refusals that an app defines."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from flask_aegis_machines import (
    Answer,
    ConfigurationError,
    Machine,
    MachineCodeTaken,
    Refusal,
    User,
    UserNotFound,
    create_blueprint,
    openapi,
)
from flask_aegis_machines._endpoint_definitions import GET, REGISTER, VERIFY, Endpoint
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore

from .support.conforming import OWN_CODES
from .support.hosts import FIRST, assert_answer, example


class TooManyMachines(Refusal):
    """The user has as many machines as the app allows."""

    answer = Answer(403, "20001", "This account has 5 machines")

    @property
    def data(self) -> dict[str, object]:
        return {"limit": 5}


class Suspended(Refusal):
    """The user is suspended."""

    answer = Answer(403, "20002", "This account is suspended")


class Full(MemoryMachineStore):
    """Refuses every machine, as a quota does."""

    def __init__(self, refusal: Exception) -> None:
        super().__init__()
        self.refusal = refusal

    def bind(self, machine: Machine, user: User) -> None:
        raise self.refusal


def mounted(refusal: Exception, **arguments: Any) -> Flask:
    """Mount a store that refuses."""
    app = Flask("host")
    app.config[OWN_CODES] = {"20001", "20002"}
    stores = {"users": MemoryUserStore([FIRST]), "machines": Full(refusal)}
    app.register_blueprint(create_blueprint(**stores, **{"authenticate": lambda: 1, **arguments}))
    return app


@pytest.mark.parametrize("declared", [True, False])
def test_a_refusal_of_the_app_is_answered(declared: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Its status, code, text and data are sent, and it is no error."""
    app = mounted(TooManyMachines(), refusals=[TooManyMachines] if declared else [])
    answer = app.test_client().post(REGISTER.path, json=example())
    assert answer.status_code == 403
    result = "This account has 5 machines"
    assert answer.json == {"status": 403, "code": "20001", "result": result, "data": {"limit": 5}}
    assert caplog.records == []


def test_a_refusal_keeps_the_shape_of_the_endpoint() -> None:
    """One that ``authenticate`` raises is answered on the check with its four keys."""

    def authenticate() -> object:
        raise Suspended

    client = mounted(Suspended(), authenticate=authenticate).test_client()
    answer = client.post(VERIFY.path, json={})
    expected = {"status": 403, "code": "20002", "info": "This account is suspended", "result": False}
    assert answer.json == expected
    assert client.post(GET.path, json={}).json["data"] == {}


def test_a_refusal_that_is_a_kind_of_ours_keeps_its_answer() -> None:
    """An app may say more than that there is no such user."""

    class Banned(UserNotFound):
        answer = Suspended.answer

    def authenticate() -> object:
        raise Banned

    answer = mounted(Suspended(), authenticate=authenticate).test_client().post(REGISTER.path, json=example())
    assert answer.json["code"] == "20002"


def test_declared_refusals_are_in_the_document() -> None:
    """Generated clients know the codes, on each endpoint and from the command."""
    app = mounted(Suspended(), refusals=[TooManyMachines, Suspended])
    printed = app.test_cli_runner().invoke(args=["aegis-machines", "openapi"])
    document = json.loads(printed.output)
    assert document == openapi.document(refusals=[TooManyMachines, Suspended])
    OpenAPIV31SpecValidator(document).validate()
    for endpoint in (REGISTER, VERIFY, GET):
        description = document["paths"][endpoint.path]["post"]["responses"]["403"]["description"]
        assert "20001: This account has 5 machines; 20002: This account is suspended" in description
    assert "20001" not in json.dumps(openapi.document())


def test_refusals_may_come_from_an_iterator() -> None:
    """The command prints what the mount has checked."""
    app = mounted(Suspended(), refusals=iter([TooManyMachines, Suspended]))
    result = app.test_cli_runner().invoke(args=["aegis-machines", "openapi"])
    assert json.loads(result.stdout) == openapi.document(refusals=[TooManyMachines, Suspended])


@pytest.mark.parametrize("refusal", [TooManyMachines(), Suspended()])
@pytest.mark.parametrize("endpoint", [REGISTER, VERIFY, GET], ids=lambda endpoint: endpoint.name)
def test_own_answers_conform_to_the_document(endpoint: Endpoint, refusal: Refusal) -> None:
    """With data and without, on each endpoint."""

    def authenticate() -> object:
        raise refusal

    kinds = [TooManyMachines, Suspended]
    app = mounted(refusal, authenticate=authenticate, refusals=kinds)
    answer = app.test_client().post(endpoint.path, json={}).get_json()
    document = openapi.document(refusals=kinds)
    schema = document["paths"][endpoint.path]["post"]["responses"]["403"]["content"]["application/json"][
        "schema"
    ]
    Draft202012Validator({**schema, "components": document["components"]}).validate(answer)


def made(**attributes: object) -> Any:
    """Make a refusal with these attributes."""
    return type("Made", (Refusal,), attributes)


@pytest.mark.parametrize(
    ("refusals", "message"),
    [
        ([made(answer=Answer(409, "10004", "Taken by me"))], "10004 of Made already has a meaning"),
        ([made(answer=Answer(404, "10404", "Gone"))], "10404 of Made already has a meaning"),
        ([made(answer=Answer(200, "20001", "Fine"))], "must be from 400 to 599"),
        ([made()], "Made needs an answer = Answer"),
        ([made(answer=(403, "20001", "x"))], "Made needs an answer = Answer"),
        ([made(answer=Answer(403, 20001, "x"))], "Made needs an answer = Answer"),  # type: ignore[arg-type]
        ([LookupError], "must be subclasses of Refusal"),
        ([Suspended()], "must be subclasses of Refusal"),
        ([Suspended, made(answer=Answer(403, "20002", "Another text"))], "share the code 20002"),
    ],
)
def test_bad_refusals_are_refused_at_mount(refusals: Any, message: str) -> None:
    """A code that means something else, or no error, would mislead every client."""
    stores = {"users": MemoryUserStore(), "machines": MemoryMachineStore()}
    with pytest.raises(ConfigurationError, match=message):
        create_blueprint(**stores, refusals=refusals)


def test_refusals_may_share_an_answer() -> None:
    """Subclasses of ours and of one another have the answers that they inherit."""
    mounted(Suspended(), refusals=[Suspended, type("Expelled", (Suspended,), {}), MachineCodeTaken])


def test_an_inherited_answer_is_once_in_the_document() -> None:
    """A refusal with an answer of the package adds no second schema, which no answer could satisfy."""
    assert openapi.document(refusals=[MachineCodeTaken]) == openapi.document()


@pytest.mark.parametrize(
    "attributes",
    [
        {"answer": Answer(200, "10000", "Fine")},
        {"answer": Answer(200, "10000", "Machine registered successfully")},
        {"answer": (403, "10006", "User AegisSpeed ID does not match")},
        {},
    ],
)
def test_an_undeclared_bad_refusal_is_10005(
    attributes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A refusal that looks like a success is never sent, and the log says what to do."""
    answer = mounted(made(**attributes)()).test_client().post(REGISTER.path, json=example())
    assert_answer(answer, "10005")
    assert "ConfigurationError: " in caplog.text
    assert "Made" in caplog.text


def test_an_answer_of_the_instance_is_not_sent() -> None:
    """The answer of the class was checked, and no other."""
    refusal = made(answer=Suspended.answer)()
    refusal.answer = Answer(200, "10000", "Machine registered successfully")
    answer = mounted(refusal).test_client().post(REGISTER.path, json=example())
    assert (answer.status_code, answer.get_json()["code"]) == (Suspended.answer.status, Suspended.answer.code)


@pytest.mark.parametrize("members", [None, [1], "text"])
def test_an_error_with_a_strange_attribute_exceptions_is_10005(members: object) -> None:
    """Groups of exceptions have that name, and an app's error may use it for something else."""
    error = RuntimeError()
    error.exceptions = members
    answer = mounted(error).test_client().post(REGISTER.path, json=example())
    assert_answer(answer, "10005")


def test_data_that_fails_is_10005() -> None:
    """A property of the app's own that raises is a failure like any other."""

    def fail(self: Refusal) -> None:
        raise LookupError

    broken = made(answer=Suspended.answer, data=property(fail))
    answer = mounted(broken()).test_client().post(REGISTER.path, json=example())
    assert_answer(answer, "10005")
