"""Holds every answer that a test gets from the endpoints against the OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator, FormatChecker
from werkzeug.test import TestResponse

from flask_aegis_machines import openapi

DOCUMENT = openapi.document()

#: Config key for the codes of an app's own refusals.
OWN_CODES = "OWN_CODES_OF_A_TEST"

_formats = FormatChecker(formats=())


@_formats.checks("date-time", raises=ValueError)
def _is_utc(instant: str) -> bool:
    return datetime.fromisoformat(instant).utcoffset() == timedelta(0)


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """Make a validator of a schema that stands in the document, and may refer to its components."""
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]}, format_checker=_formats)


_BODIES = {
    (path, status): validator(response["content"]["application/json"]["schema"])
    for path, methods in DOCUMENT["paths"].items()
    for status, response in methods["post"]["responses"].items()
}


def assert_conforms(answer: TestResponse, own_codes: Collection[str] = ()) -> None:
    """Assert that the document allows an answer of the endpoints; those of the host are left alone.

    Args:
        answer: The answer.
        own_codes: Codes of the app's own refusals, whose document a test of its own reads.
    """
    path = next((path for path in DOCUMENT["paths"] if answer.request.path.endswith(path)), None)
    body = _json(answer.data) if path else None
    if path is None or not isinstance(body, dict) or "code" not in body or body["code"] in own_codes:
        return
    method, status = answer.request.method.lower(), str(answer.status_code)
    told = f"{method} {path} answered {status} {body}"
    response = DOCUMENT["paths"][path].get(method, {"responses": {}})["responses"].get(status)
    assert response, f"{told}, a status that the document does not have"
    assert answer.mimetype in response["content"], f"{told}, as {answer.mimetype}"
    for name, header in response.get("headers", {}).items():
        values = answer.headers.getlist(name)
        assert values or not header.get("required"), f"{told}, without {name}"
        assert all(map(validator(header["schema"]).is_valid, values)), f"{told}, with {name}: {values}"
    faults = [error.message for error in _BODIES[path, status].iter_errors(body)]
    assert not faults, f"{told}: {faults}"


def watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every test client, of whatever app, refuse an answer that does not conform."""
    opened = FlaskClient.open

    def open_and_check(self: FlaskClient, *args: Any, **kwargs: Any) -> TestResponse:
        answer = opened(self, *args, **kwargs)
        assert_conforms(answer, self.application.config.get(OWN_CODES, ()))
        return answer

    monkeypatch.setattr(FlaskClient, "open", open_and_check)


def _json(body: bytes) -> object:
    """Read JSON as any client does: a host's own provider may make something else of it."""
    try:
        return json.loads(body)
    except ValueError:
        return None
