"""The OpenAPI document, made of the schemas, the endpoints and the table of answers that the code runs on."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from .endpoints import ENDPOINTS, Endpoint
from .errors import (
    ANSWERS,
    AVAILABLE,
    INVALID_REQUEST,
    REGISTERED,
    RETRIEVED,
    TAKEN,
    UNAUTHORIZED,
    Answer,
)
from .schema import AEGISSPEED_ID, MACHINE_CODE, REGISTRATION, Form

__all__ = ["document"]

_SUCCESSES = (REGISTERED, AVAILABLE, RETRIEVED)
_TYPES = {"min": "minimum", "max": "maximum", "type": "type"}


def document(prefix: str = "") -> dict[str, Any]:
    """Make the OpenAPI 3.1 document of the three endpoints.

    Args:
        prefix: The ``url_prefix`` under which the blueprint is mounted.

    Returns:
        The document, ready for JSON.

    Raises:
        Nothing.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Machine registration by AegisSpeed ID",
            "version": version("flask-aegis-machines"),
            "description": "A machine code belongs to the account that registered it first, for ever.",
        },
        "servers": [{"url": prefix or "/"}],
        "paths": {endpoint.path: {"post": _operation(endpoint)} for endpoint in ENDPOINTS},
        "components": {
            "schemas": {"Machine": _machine()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    by_status: dict[str, list[Answer]] = {}
    for answer in ANSWERS:
        foreign = answer in _SUCCESSES and answer is not endpoint.success
        if not foreign and (endpoint.may_be_taken or answer is not TAKEN):
            by_status.setdefault(str(answer.status), []).append(answer)
    return {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _form(endpoint.form)}},
        },
        "responses": {status: _response(endpoint, answers) for status, answers in by_status.items()},
    }


def _response(endpoint: Endpoint, answers: list[Answer]) -> dict[str, Any]:
    envelopes = [_envelope(answer, _data(endpoint, answer)) for answer in answers]
    response: dict[str, Any] = {
        "description": "; ".join(f"{answer.code}: {answer.result}" for answer in answers),
        "content": {
            "application/json": {"schema": envelopes[0] if len(envelopes) == 1 else {"oneOf": envelopes}}
        },
    }
    if UNAUTHORIZED in answers:
        response["headers"] = {"WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}}}
    return response


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
    redacted = {"type": "string", "description": "The user's ID number, its middle starred."}
    if answer is REGISTERED:
        return _object({MACHINE_CODE: _field(REGISTRATION.schema[MACHINE_CODE]), "user_id": redacted})
    if answer is RETRIEVED:
        machines = {"type": "array", "items": {"$ref": "#/components/schemas/Machine"}}
        following = {"type": ["string", "null"], "description": "What to send as `after` for the next page."}
        return _object({"user_id": redacted, "machines": machines, "next": following})
    if answer is INVALID_REQUEST:
        messages = {"type": "array", "items": {"type": "string"}, "minItems": 1}
        errors = {"type": "object", "additionalProperties": messages, "minProperties": 1}
        return _object({"errors": errors})
    return _object({})


def _machine() -> dict[str, Any]:
    facts = {name: _field(rules) for name, rules in REGISTRATION.schema.items() if name != AEGISSPEED_ID}
    return _object({**facts, "registered_at": {"type": "string", "format": "date-time"}})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _form(form: Form) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: _field(rules) for name, rules in form.schema.items()},
        "required": [name for name, rules in form.schema.items() if rules["required"]],
    }


def _field(rules: Mapping[str, Any]) -> dict[str, Any]:
    """Say in JSON Schema what a field's Cerberus rules say."""
    field = {_TYPES[name]: value for name, value in rules.items() if name in _TYPES}
    if "regex" in rules:
        field["pattern"] = f"^(?:{rules['regex']})$"
    if "unlike" in rules:
        field["not"] = {"pattern": f"^(?:{rules['unlike']})$"}
    return {**field, "description": rules["meta"]["description"]}
