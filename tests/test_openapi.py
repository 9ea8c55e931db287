"""The OpenAPI document says what the endpoints do, no more and no less."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, Response, jsonify
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator, ValidationError, validators
from openapi_spec_validator import OpenAPIV31SpecValidator
from werkzeug.test import TestResponse

from flask_aegis_machines import openapi
from flask_aegis_machines._endpoint_definitions import ENDPOINTS, GET, REGISTER, VERIFY, Endpoint
from flask_aegis_machines._errors import InvalidAegisSpeedId, InvalidRequest
from flask_aegis_machines._placeholders import is_placeholder
from flask_aegis_machines._records import MACHINE_FIELDS
from flask_aegis_machines.stores.memory import MemoryMachineStore
from flask_aegis_machines.testing import make_machine
from tests.support.conforming import DOCUMENT, HANDLES_ERRORS
from tests.support.hosts import FIRST, REGISTER_PATH, authorization, mount

Register = Callable[..., TestResponse]

SCHEMAS = DOCUMENT["components"]["schemas"]
OPERATIONS = {endpoint: DOCUMENT["paths"][endpoint.path]["post"] for endpoint in ENDPOINTS}
EACH = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name.partition("_")[0])


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the component that a schema refers to, or a schema that refers to none."""
    found: dict[str, Any] = SCHEMAS[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return found


def form_of(endpoint: Endpoint) -> dict[str, Any]:
    """Return the schema of an endpoint's request."""
    return resolve(OPERATIONS[endpoint]["requestBody"]["content"]["application/json"]["schema"])


def answers_of(endpoint: Endpoint) -> dict[str, dict[str, Any]]:
    """Return the properties of each answer of an endpoint, by its status and code."""
    found = {}
    for status, response in OPERATIONS[endpoint]["responses"].items():
        schema = response["content"]["application/json"]["schema"]
        for answer in schema.get("oneOf", [schema]):
            properties = resolve(answer)["properties"]
            found[f"{status} {properties['code']['const']}"] = properties
    return found


def example_of(form: dict[str, Any]) -> dict[str, Any]:
    """Return a request made of the examples of its fields."""
    return {name: resolve(field)["examples"][0] for name, field in form["properties"].items()}


class TestDocument:
    """What is in it."""

    @pytest.mark.parametrize("prefix", ["", "/v1"])
    def test_it_is_valid(self, prefix: str) -> None:
        """It is an OpenAPI 3.1 document, its examples and references included."""
        OpenAPIV31SpecValidator(openapi.document(prefix)).validate()

    @EACH
    def test_every_answer_is_there(self, endpoint: Endpoint) -> None:
        """An operation has the answers of its endpoint, each with its text, and no others."""
        text = "info" if endpoint is VERIFY else "result"
        found = {
            key: tuple(properties[part]["const"] for part in ("status", "code", text))
            for key, properties in answers_of(endpoint).items()
        }
        assert found == {f"{answer.status} {answer.code}": tuple(answer) for answer in endpoint.answers}

    def test_both_envelopes_are_exact(self) -> None:
        """The check of a code has ``info`` and a boolean ``result``; the others have ``data``."""
        check, register = answers_of(VERIFY), answers_of(REGISTER)
        bound = [key for key, properties in check.items() if properties["result"]["const"]]
        assert bound == ["200 10002", "200 10003"]
        assert {tuple(properties) for key, properties in check.items() if key != "400 10400"} == {
            ("status", "code", "info", "result")
        }
        assert {tuple(properties) for properties in register.values()} == {
            ("status", "code", "result", "data")
        }

    def test_data_is_exact(self, document: dict[str, Any]) -> None:
        """``data`` is empty in all but five answers, and in those it has exactly what is promised."""
        data = {
            f"{endpoint.name.partition('_')[0]} {key}": list(properties["data"]["properties"])
            for endpoint in ENDPOINTS
            for key, properties in answers_of(endpoint).items()
            if properties.get("data", {}).get("properties")
        }
        assert data == {
            "register 200 10000": ["machine_code", "user_id"],
            "register 400 10400": ["errors"],
            "verify 400 10400": ["errors"],
            "get 200 10000": ["user_id", "machines", "next"],
            "get 400 10400": ["errors"],
        }
        assert [*SCHEMAS["Machine"]["properties"]] == [*list(document)[1:], "registered_at"]
        objects = [schema for schema in walk(SCHEMAS) if schema.get("additionalProperties") is False]
        optional = [schema for schema in objects if schema.get("required") != list(schema["properties"])]
        assert [schema["minProperties"] for schema in optional] == [1, 1, 1]  # errors, of each endpoint

    @EACH
    def test_errors_name_the_fields(self, endpoint: Endpoint) -> None:
        """The keys of ``errors`` are the fields that 10400 is about, and the body as a whole."""
        errors = answers_of(endpoint)["400 10400"]["data"]["properties"]["errors"]
        names = [name for name in form_of(endpoint)["properties"] if name != "user_AegisSpeed_id"]
        assert list(errors["properties"]) == ["body", *names]
        assert errors["additionalProperties"] is False

    def test_every_field_is_there(self, document: dict[str, Any]) -> None:
        """A form has the documented fields, and requires all but those that page through a list."""
        forms = {endpoint: form_of(endpoint) for endpoint in ENDPOINTS}
        assert {endpoint: list(form["properties"]) for endpoint, form in forms.items()} == {
            REGISTER: list(document),
            VERIFY: ["user_AegisSpeed_id", "machine_code"],
            GET: ["user_AegisSpeed_id", "limit", "after"],
        }
        assert {endpoint: form["required"] for endpoint, form in forms.items()} == {
            REGISTER: list(document),
            VERIFY: ["user_AegisSpeed_id", "machine_code"],
            GET: ["user_AegisSpeed_id"],
        }

    def test_a_challenge_comes_with_401_only(self) -> None:
        """The header that a client may rely on is required where it is promised."""
        required = {
            (status, name)
            for operation in OPERATIONS.values()
            for status, response in operation["responses"].items()
            for name, header in response.get("headers", {}).items()
            if header.get("required")
        }
        assert required == {("401", "WWW-Authenticate")}

    def test_everything_is_described(self) -> None:
        """Each operation and field has a description; names are those of the API document."""
        assert [operation["operationId"] for operation in OPERATIONS.values()] == [
            endpoint.name for endpoint in ENDPOINTS
        ]
        assert all(
            operation["summary"] and operation["tags"] == ["machines"] for operation in OPERATIONS.values()
        )
        forms = [form_of(endpoint) for endpoint in ENDPOINTS]
        assert all(resolve(field)["description"] for form in forms for field in form["properties"].values())

    def test_placeholders_are_described_where_they_are_refused(self) -> None:
        """JSON Schema cannot hold the list: the description of a registration's code names it."""
        described = {
            endpoint: "identifies no machine"
            in resolve(form_of(endpoint)["properties"]["machine_code"])["description"]
            for endpoint in (REGISTER, VERIFY)
        }
        assert described == {REGISTER: True, VERIFY: False}

    def test_null_facts_are_described(self) -> None:
        """A client author reads what to send where a machine has no such thing."""
        fields = {name: resolve(field) for name, field in form_of(REGISTER)["properties"].items()}
        nullable = [name for name, field in fields.items() if "null" in field["type"]]
        assert nullable == list(MACHINE_FIELDS[1:])
        assert all("Send an empty string or null" in fields[name]["description"] for name in nullable)

    @pytest.mark.parametrize(
        ("prefix", "url"), [("", "/"), ("/", "/"), ("/api/v1", "/api/v1"), ("/api/", "/api")]
    )
    def test_a_prefix_is_the_server_s(self, prefix: str, url: str) -> None:
        """A path after its server's URL is the path that is served."""
        assert openapi.document(prefix)["servers"] == [{"url": url}]


def walk(part: object) -> Iterator[dict[str, Any]]:
    """Give every object in a part of the document."""
    if isinstance(part, dict):
        yield part
    for child in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from walk(child)


class TestExamples:
    """The examples in the document are true."""

    def test_the_request_is_the_api_document_s(self, document: dict[str, Any]) -> None:
        """The examples of the fields make the documented request."""
        assert example_of(form_of(REGISTER)) == document

    def test_the_request_earns_the_answer(self, register: Register) -> None:
        """Sent as it is, the example of the request is answered with the example of the answer."""
        answer = register(json=example_of(form_of(REGISTER))).json
        assert answer["data"] == example_of(answers_of(REGISTER)["200 10000"]["data"])

    def test_a_machine_is_listed_as_shown(self, app: Flask, client: FlaskClient, register: Register) -> None:
        """A machine in a list looks like the example, except for the timestamp."""
        register(json=example_of(form_of(REGISTER)))
        sent = {**example_of(form_of(GET))}
        del sent["after"]
        answer = client.post(GET.path, json=sent, headers=authorization(app, "1")).get_json()
        example = example_of(SCHEMAS["Machine"])
        (machine,) = answer["data"]["machines"]
        timestamps = [machine.pop("registered_at"), example.pop("registered_at")]
        assert machine == example
        assert len(timestamps[0]) == len(timestamps[1])

    def test_a_message_is_one_of_ours(self, register: Register, document: dict[str, Any]) -> None:
        """The example of a message is what a missing field earns."""
        del document["machine_cpu"]
        answer = register(json=document).get_json()
        assert answer["data"] == {"errors": {"machine_cpu": SCHEMAS["Messages"]["examples"][0]}}


def match_as_ecma_262(
    validator: object, pattern: str, value: object, schema: object
) -> Iterator[ValidationError]:
    """Read a pattern as JSON Schema does: ``$`` is the end, and does not come before a last line feed."""
    if isinstance(value, str) and not re.search(pattern.replace("$", r"\Z"), value):
        yield ValidationError("does not match")


EcmaValidator = validators.extend(Draft202012Validator, {"pattern": match_as_ecma_262})

NOT_STRINGS = [None, True, False, 0, 1, 1.5, [], ["x"], {}, {"x": "x"}]
WHITE_SPACE = [
    *"\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000",
    *map(chr, range(0x2000, 0x200C)),
]
CHARACTERS = [
    *map(chr, [*range(0x22), *range(0x7E, 0xA2)]),
    *WHITE_SPACE,
    *("\u0661", "\u180e", "\u2060", "\ufeff", "\uff21", "\ufffd", "\ufffe", "\uffff"),
    *("\ud7ff", "\ud800", "\udbff", "\udc00", "\udfff", "\ue000"),
    *("\U00010000", "\U0001f600", "\U0010ffff"),
]


def strings(length: int) -> Iterator[str]:
    """Give strings of about a length, with each character only, first, last and in their middle."""
    for number in {0, 1, length - 1, length, length + 1, 255, 256}:
        yield from (("xy" * 128)[:number], "\U0001f600" * number)
    for character in CHARACTERS:
        rest = ("xy" * 128)[: length - 1]
        yield from (character, character * length, character + rest, rest + character)
        yield from (rest[1:] + character + "x", rest + "x" + character)
    for left in WHITE_SPACE:
        yield from (left + right for right in (" ", "\ufeff", "\u2028", "x"))


def codes() -> Iterator[str]:
    """Give strings like machine codes, among them all kinds that identify no machine."""
    yield from strings(32)
    for code in ("d41d8cd98f00b204e9800998ecf8427e", "fe" * 16, "abcd" + "*" * 24 + "wxyz", "*" * 32):
        yield from (code, code.upper(), code.title(), code[:16] + code[16:].upper())
        yield from (code + "\n", code[:-1] + "x", code + "0")


# The ten facts have the same rules: one is tried with everything.
FEW: list[object] = [*NOT_STRINGS, "", " ", "x", "x" * 255, "x" * 256, "x\0", "x\n", "\ud800"]
VALUES: dict[str, list[object]] = {
    "user_AegisSpeed_id": [*NOT_STRINGS, *strings(9)],
    "machine_code": [*NOT_STRINGS, *codes()],
    "after": [*NOT_STRINGS, *codes()],
    "machine_cpu": [*NOT_STRINGS, *strings(255)],
    "limit": [*NOT_STRINGS, -1, 2, 99, 100, 101, 10**30, 0.5, 1e300, float("inf"), "", "1", "100"],
}


class TestRequests:
    """A request that the document allows is one that the forms let through, and the other way round."""

    @EACH
    def test_each_field(self, endpoint: Endpoint) -> None:
        """Document and schema agree on every value of a field, known placeholders excepted."""
        form = form_of(endpoint)
        validator = EcmaValidator({**form, "components": DOCUMENT["components"]})
        good = example_of(form)
        bodies = [{**good, name: value} for name in form["properties"] for value in VALUES.get(name, FEW)]
        different = [body for body in bodies if validator.is_valid(body) != passes(endpoint, body)]
        known = [body for body in different if endpoint is REGISTER and is_placeholder(body["machine_code"])]
        assert different == known
        assert bool(known) == (endpoint is REGISTER)

    @EACH
    def test_missing_and_unknown_fields(self, endpoint: Endpoint) -> None:
        """Fields may be missing, or be more than the form knows, where the document says so."""
        form = form_of(endpoint)
        validator = EcmaValidator({**form, "components": DOCUMENT["components"]})
        good = example_of(form)
        bodies = [{}, {**good, "unknown": None}, *({k: good[k] for k in good if k != name} for name in good)]
        assert [validator.is_valid(body) for body in bodies] == [passes(endpoint, body) for body in bodies]
        assert [validator.is_valid(body) for body in bodies[:2]] == [False, True]

    @pytest.mark.parametrize("limit", ["2", "2.0", "0.2e1", "2.5", "1e400", "-0.0", "1" * 400])
    def test_a_whole_number_is_an_integer(
        self, app: Flask, client: FlaskClient, machines: MemoryMachineStore, limit: str
    ) -> None:
        """JSON has one kind of number: however 2 is written, it is an integer."""
        for number in range(1, 4):
            machines.bind(make_machine(f"{number:032}"), FIRST)
        headers = {**authorization(app, "1"), "Content-Type": "application/json"}
        sent = f'{{"user_AegisSpeed_id": "ASD000001", "limit": {limit}}}'
        answer = client.post(GET.path, data=sent, headers=headers).get_json()
        valid = EcmaValidator(SCHEMAS["limit"]).is_valid(json.loads(sent)["limit"])
        assert (answer["code"], valid) in [("10000", True), ("10400", False)]
        assert not valid or len(answer["data"]["machines"]) == 2

    def test_patterns_mean_the_same_everywhere(self) -> None:
        """No pattern has what dialects read in different ways, or not at all."""
        patterns = [part["pattern"] for part in walk(SCHEMAS) if isinstance(part.get("pattern"), str)]
        assert len(patterns) > 12
        assert [
            pattern for pattern in patterns if re.search(r"\\[bBdDsSwWAZ]|\\ud[89a-f]|\(\?[^:]", pattern)
        ] == []


def passes(endpoint: Endpoint, body: dict[str, Any]) -> bool:
    """Tell whether the endpoint's form lets a body through."""
    try:
        endpoint.schema.validate(body)
    except (InvalidAegisSpeedId, InvalidRequest):
        return False
    return True


class TestConforming:
    """The watch over the answers of the whole suite sees what is wrong."""

    @pytest.mark.parametrize(
        "wrong",
        [
            {"result": "Machine registered"},
            {"code": "10004"},
            {"code": 10000},
            {"status": 201},
            {"more": 1},
            {"data": {}},
            {"data": {"machine_code": "abcd1234efgh5678ijkl9012mnop345", "user_id": "110***********1234"}},
            {"data": {"machine_code": "abcd1234efgh5678ijkl9012mnop3456", "user_id": None}},
            {"data": {"machine_code": "abcd1234efgh5678ijkl9012mnop3456", "user_id": "1", "more": 1}},
        ],
        ids=str,
    )
    def test_a_wrong_body(self, app: Flask, register: Register, wrong: dict[str, Any]) -> None:
        """Each part of an envelope is held to the letter."""
        alter(app, lambda response: response.set_data(json.dumps({**response.get_json(), **wrong})))
        with pytest.raises(AssertionError, match="register_machine_info_by_aegisspeed_id answered 200"):
            register()

    @pytest.mark.parametrize(
        ("changes", "change"),
        [
            ({}, lambda response: setattr(response, "status_code", 202)),
            ({}, lambda response: setattr(response, "mimetype", "text/plain")),
            ({"headers": {}}, lambda response: response.headers.remove("WWW-Authenticate")),
            ({"headers": {}}, lambda response: response.headers.set("WWW-Authenticate", "Basic")),
            (
                {"machine_cpu": "\n"},
                lambda response: response.set_data(response.data.replace(b"_cpu", b"_gpu")),
            ),
        ],
        ids=["status", "type", "no challenge", "another challenge", "unknown field"],
    )
    def test_a_wrong_answer(
        self, app: Flask, register: Register, changes: dict[str, Any], change: Callable[[Response], None]
    ) -> None:
        """So is what comes with it."""
        alter(app, change)
        with pytest.raises(AssertionError, match="register_machine_info_by_aegisspeed_id answered"):
            register(**changes)

    @pytest.mark.parametrize("timestamp", ["2026-02-26T08:00:00", "2026-02-26T08:00:00+08:00", "yesterday"])
    def test_a_timestamp_that_is_not_in_utc(
        self, app: Flask, client: FlaskClient, machines: MemoryMachineStore, timestamp: str
    ) -> None:
        """A format that is promised is held, too."""
        machines.bind(make_machine(), FIRST)
        alter(
            app,
            lambda response: response.set_data(re.sub(rb"20..-[^\"]*", timestamp.encode(), response.data)),
        )
        sent = {"user_AegisSpeed_id": FIRST.aegisspeed_id}
        with pytest.raises(AssertionError, match=f"'{re.escape(timestamp)}' is not a 'date-time'"):
            client.post(GET.path, json=sent, headers=authorization(app, "1"))

    @pytest.mark.parametrize("prefix", ["", "/v1"])
    def test_a_host_s_own_page_is_left_alone(self, prefix: str) -> None:
        """What has no code is no answer of ours."""
        app = mount(MemoryMachineStore())
        app.before_request(lambda: (jsonify(theirs=True), 418))
        assert app.test_client().post(prefix + REGISTER_PATH).json == {"theirs": True}

    def test_a_5xx_without_a_code_fails(self) -> None:
        """Only an app that says so handles its own errors on our paths."""
        app = mount(MemoryMachineStore())
        app.before_request(lambda: (jsonify(theirs=True), 500))
        with pytest.raises(AssertionError, match="without a code"):
            app.test_client().post(REGISTER_PATH)
        app.config[HANDLES_ERRORS] = True
        assert app.test_client().post(REGISTER_PATH).status_code == 500

    @pytest.mark.parametrize("prefix", ["", "/v1"])
    def test_a_code_is_ours_under_any_prefix(self, prefix: str) -> None:
        """What has a code must be an answer of ours, wherever the blueprint is mounted."""
        app = mount(MemoryMachineStore())
        app.before_request(lambda: (jsonify(code="10418"), 418))
        with pytest.raises(AssertionError, match="a status that the document does not have"):
            app.test_client().post(prefix + REGISTER_PATH)


def alter(app: Flask, change: Callable[[Response], object]) -> None:
    """Let a host change each answer before it leaves."""

    def changed(response: Response) -> Response:
        change(response)
        return response

    app.after_request(changed)


class TestCommand:
    """``flask aegis-machines openapi``."""

    @pytest.mark.parametrize("prefix", ["", "/v1"])
    def test_it_prints_the_document(self, app: Flask, prefix: str) -> None:
        """What is printed is the document, in ASCII, for the prefix that is asked for."""
        arguments = ["--prefix", prefix] if prefix else []
        printed = app.test_cli_runner().invoke(args=["aegis-machines", "openapi", *arguments])
        assert printed.exit_code == 0
        assert printed.output.isascii()
        assert json.loads(printed.output) == openapi.document(prefix)
