"""The OpenAPI document, made of the schemas, the endpoints and the table of answers that the code runs on."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from ._answers import (
    INVALID_REQUEST,
    REGISTERED,
    RETRIEVED,
    TOO_MANY_REQUESTS,
    UNAUTHORIZED,
    Answer,
)
from ._body import MAX_BYTES
from ._endpoints import ENDPOINTS, Endpoint
from ._records import MACHINE_FIELDS
from ._redaction import redact
from ._validation import AEGISSPEED_ID, AFTER, LIMIT, MACHINE_CODE, MAX_PAGE, Schema

__all__ = ["document"]

_JSON = "application/json"
_TAG = "machines"
_KEYWORDS = {"type": "type", "min": "minimum", "max": "maximum"}

# What the rules of a field do not say: its meaning and an example.
_FIELDS: Mapping[str, tuple[str, str | int]] = {
    AEGISSPEED_ID: ("AegisSpeed ID of the signed-in user", "ASD000001"),
    MACHINE_CODE: ("Machine code", "abcd1234efgh5678ijkl9012mnop3456"),
    "windows_uuid": ("Windows system UUID", "12345678-1234-1234-1234-123456789012"),
    "windows_product_id": ("Windows product ID", "12345-12345-12345-12345-12345"),
    "machine_os_name": ("Name of the operating system", "Microsoft Windows 11"),
    "machine_os_version": ("Version of the operating system", "10.0.22631"),
    "machine_architecture": ("Architecture", "x64"),
    "machine_architecture_type": ("Type of architecture", "AMD64"),
    "machine_platform": ("Platform of the operating system", "Win32"),
    "machine_cpu": ("Model of the processor", "12th Gen Intel(R) Core(TM) i7-12700K"),
    "machine_motherboard": ("Model of the motherboard", "ASUS PRIME Z690-A"),
    "machine_mac_address": ("MAC address", "00:11:22:33:44:55"),
    LIMIT: (f"How many machines at most, {MAX_PAGE} unless given", MAX_PAGE),
    AFTER: ("Code of the last machine of the page before", "abcd1234efgh5678ijkl9012mnop3456"),
}

_HEADERS: Mapping[Answer, Mapping[str, Any]] = {
    UNAUTHORIZED: {"WWW-Authenticate": {"required": True, "schema": {"type": "string", "const": "Bearer"}}},
    TOO_MANY_REQUESTS: {
        "Retry-After": {"description": "Where the limiter sends one.", "schema": {"type": "string"}}
    },
}


def document(prefix: str = "") -> dict[str, Any]:
    """Make the OpenAPI 3.1 document of the three endpoints.

    Args:
        prefix: The ``url_prefix`` under which the blueprint is mounted.

    Returns:
        The document, ready for JSON.

    Raises:
        importlib.metadata.PackageNotFoundError: The package was copied and not installed.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Machine registration by AegisSpeed ID",
            "version": version("flask-aegis-machines"),
            "description": (
                "A machine code belongs to the account that registered it first, for ever. Every answer is a "
                "JSON object, and its code says what came of the request. A 404 or 405 for another path or "
                "method is the app's own, and none of these."
            ),
        },
        "servers": [{"url": prefix.rstrip("/") or "/"}],
        "tags": [{"name": _TAG, "description": "Machines that are bound to accounts."}],
        "security": [{"token": []}],
        "paths": {endpoint.path: {"post": _operation(endpoint)} for endpoint in ENDPOINTS},
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "Obtained by signing in."}
            },
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    by_status: dict[str, list[Answer]] = {}
    for answer in endpoint.answers:
        by_status.setdefault(str(answer.status), []).append(answer)
    return {
        "operationId": endpoint.name,
        "tags": [_TAG],
        "summary": endpoint.summary,
        "requestBody": {
            "description": f"At most {MAX_BYTES} bytes. Fields that the server does not know are ignored.",
            "required": True,
            "content": {_JSON: {"schema": _ref(_request_name(endpoint))}},
        },
        "responses": {status: _response(endpoint, answers) for status, answers in sorted(by_status.items())},
    }


def _response(endpoint: Endpoint, answers: list[Answer]) -> dict[str, Any]:
    envelopes = [_ref(_answer_name(endpoint, answer)) for answer in answers]
    response: dict[str, Any] = {
        "description": "; ".join(f"{answer.code}: {answer.result}" for answer in answers),
        "content": {_JSON: {"schema": envelopes[0] if len(envelopes) == 1 else {"oneOf": envelopes}}},
    }
    headers = {name: header for answer in answers for name, header in _HEADERS.get(answer, {}).items()}
    return {**response, "headers": headers} if headers else response


def _schemas() -> dict[str, Any]:
    requests, answers, fields = {}, {}, {}
    for endpoint in ENDPOINTS:
        requests[_request_name(endpoint)] = _request(endpoint.schema)
        for answer in endpoint.answers:
            answers[_answer_name(endpoint, answer)] = _envelope(answer, _data(endpoint, answer))
        fields.update({name: _field(name, rules) for name, rules in endpoint.schema.rules.items()})
    return {
        **requests,
        **answers,
        "Machine": _object(_refs(*MACHINE_FIELDS, "registered_at")),
        "Messages": {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "examples": [["required field"]],
        },
        **fields,
        "user_id": {
            "type": "string",
            "description": "ID number of the user, its middle starred.",
            "examples": [redact("110101199003071234")],
        },
        "registered_at": {
            "type": "string",
            "format": "date-time",
            "description": "When the machine was bound, in UTC.",
            "examples": ["2026-02-26T08:00:00.000000+00:00"],
        },
    }


def _request_name(endpoint: Endpoint) -> str:
    return f"{_verb(endpoint)}Request"


def _answer_name(endpoint: Endpoint, answer: Answer) -> str:
    own = answer.status == 200 or answer is INVALID_REQUEST
    return f"{_verb(endpoint) if own else ''}Answer{answer.code}"


def _verb(endpoint: Endpoint) -> str:
    return endpoint.name.partition("_")[0].title()


def _request(schema: Schema) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": _refs(*schema.rules),
        "required": [name for name, rules in schema.rules.items() if rules["required"]],
    }


def _field(name: str, rules: Mapping[str, Any]) -> dict[str, Any]:
    """Say in JSON Schema what a field's Cerberus rules say."""
    field = {_KEYWORDS[rule]: value for rule, value in rules.items() if rule in _KEYWORDS}
    if "regex" in rules:
        field["pattern"] = f"^(?:{rules['regex']})$"
    if "unlike" in rules:
        field["not"] = {"pattern": f"^(?:{rules['unlike']})$"}
    meaning, example = _FIELDS[name]
    return {**field, "description": f"{meaning}: {rules['meta']['description']}.", "examples": [example]}


def _envelope(answer: Answer, data: dict[str, Any]) -> dict[str, Any]:
    return _object(
        {
            "status": {"type": "integer", "const": answer.status},
            "code": {"type": "string", "const": answer.code},
            "result": {"type": "string", "const": answer.result},
            "data": data,
        }
    )


def _data(endpoint: Endpoint, answer: Answer) -> dict[str, Any]:
    if answer is REGISTERED:
        return _object(_refs(MACHINE_CODE, "user_id"))
    if answer is RETRIEVED:
        following = {
            "anyOf": [_ref(MACHINE_CODE), {"type": "null"}],
            "description": f"What to send as `{AFTER}` for the next page; null on the last one.",
        }
        machines = {"type": "array", "maxItems": MAX_PAGE, "items": _ref("Machine")}
        return _object({**_refs("user_id"), "machines": machines, "next": following})
    if answer is INVALID_REQUEST:
        return _object({"errors": _errors(endpoint.schema)})
    return _object({})


def _errors(schema: Schema) -> dict[str, Any]:
    names = ["body", *(name for name in schema.rules if name != AEGISSPEED_ID)]
    return {
        "type": "object",
        "description": "Messages by field; `body` stands for the body as a whole.",
        "properties": dict.fromkeys(names, _ref("Messages")),
        "minProperties": 1,
        "additionalProperties": False,
    }


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _refs(*names: str) -> dict[str, Any]:
    return {name: _ref(name) for name in names}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
