"""The OpenAPI document, made of the schemas, the endpoints and the table of answers that the code runs on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from ._answers import ANSWERS, INVALID_REQUEST, TOO_MANY_REQUESTS, UNAUTHORIZED, Answer
from ._body import MAX_BYTES
from ._endpoint_definitions import ENDPOINTS, Endpoint
from ._errors import Refusal
from ._openapi_schemas import answer_schema, field_name, field_schema, ref, request_schema, shared_schemas

__all__ = ["document"]

_JSON = "application/json"
_TAG = "machines"
_ANY_OBJECT = {"type": "object"}

_HEADERS: Mapping[Answer, Mapping[str, Any]] = {
    UNAUTHORIZED: {"WWW-Authenticate": {"required": True, "schema": {"type": "string", "const": "Bearer"}}},
    TOO_MANY_REQUESTS: {
        "Retry-After": {"description": "Where the limiter sends one.", "schema": {"type": "string"}}
    },
}


def document(prefix: str = "", refusals: Sequence[type[Refusal]] = ()) -> dict[str, Any]:
    """Make the OpenAPI 3.1 document of the three endpoints.

    Args:
        prefix: The ``url_prefix`` under which the blueprint is mounted.
        refusals: The refusals that the app defines, as given to ``create_blueprint()``.

    Returns:
        The document, ready for JSON.

    Raises:
        importlib.metadata.PackageNotFoundError: The package was copied and not installed.
    """
    # A refusal that inherits an answer of the package is in the document already.
    app_answers = [
        answer for answer in dict.fromkeys(refusal.answer for refusal in refusals) if answer not in ANSWERS
    ]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Machine registration by AegisSpeed ID",
            "version": version("flask-aegis-machines"),
            "description": (
                "A machine code belongs permanently to the account that registered it first. Every answer is "
                "a JSON object; its status and its code together say what came of the request. A 404 or 405 "
                "for another path or method is the app's own, and none of these."
            ),
        },
        "servers": [{"url": prefix.rstrip("/") or "/"}],
        "tags": [{"name": _TAG, "description": "Machines that are bound to accounts."}],
        "security": [{"token": []}],
        "paths": {endpoint.path: {"post": _operation(endpoint, app_answers)} for endpoint in ENDPOINTS},
        "components": {
            "schemas": _schemas(app_answers),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "Obtained by signing in."}
            },
        },
    }


def _operation(endpoint: Endpoint, app_answers: list[Answer]) -> dict[str, Any]:
    by_status: dict[str, list[Answer]] = {}
    for answer in (*endpoint.answers, *app_answers):
        by_status.setdefault(str(answer.status), []).append(answer)
    return {
        "operationId": endpoint.name,
        "tags": [_TAG],
        "summary": endpoint.summary,
        "requestBody": {
            "description": f"At most {MAX_BYTES} bytes. Fields that the server does not know are ignored.",
            "required": True,
            "content": {_JSON: {"schema": ref(_request_name(endpoint))}},
        },
        "responses": {status: _response(endpoint, answers) for status, answers in sorted(by_status.items())},
    }


def _response(endpoint: Endpoint, answers: list[Answer]) -> dict[str, Any]:
    schemas = [ref(_answer_name(endpoint, answer)) for answer in answers]
    response: dict[str, Any] = {
        "description": "; ".join(f"{answer.code}: {answer.result}" for answer in answers),
        "content": {_JSON: {"schema": schemas[0] if len(schemas) == 1 else {"oneOf": schemas}}},
    }
    headers = {name: header for answer in answers for name, header in _HEADERS.get(answer, {}).items()}
    return {**response, "headers": headers} if headers else response


def _schemas(app_answers: list[Answer]) -> dict[str, Any]:
    requests, answers, fields = {}, {}, {}
    for endpoint in ENDPOINTS:
        requests[_request_name(endpoint)] = request_schema(endpoint)
        for answer in endpoint.answers:
            answers[_answer_name(endpoint, answer)] = answer_schema(endpoint, answer)
        for answer in app_answers:
            answers[_answer_name(endpoint, answer)] = answer_schema(endpoint, answer, _ANY_OBJECT)
        for name, rules in endpoint.schema.rules.items():
            fields[field_name(endpoint, name)] = field_schema(name, rules)
    return {**requests, **answers, **shared_schemas(), **fields}


def _request_name(endpoint: Endpoint) -> str:
    return f"{_verb(endpoint)}Request"


def _answer_name(endpoint: Endpoint, answer: Answer) -> str:
    """Return the name of an answer's component, which endpoints share where it is the same."""
    is_specific = endpoint.envelope == "info" or answer in endpoint.successes or answer is INVALID_REQUEST
    is_specific = is_specific or answer in endpoint.replacements.values()
    return f"{_verb(endpoint) if is_specific else ''}Answer{answer.status}_{answer.code}"


def _verb(endpoint: Endpoint) -> str:
    return endpoint.name.partition("_")[0].title()
