"""Checks every answer that a test's client gets from the endpoints against the OpenAPI document."""

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
#: Config key of an app whose error handlers answer failures of its authentication or its hooks.
HANDLES_ERRORS = "HANDLES_ERRORS_OF_A_TEST"

_formats = FormatChecker(formats=())


@_formats.checks("date-time", raises=ValueError)
def _is_utc(instant: str) -> bool:
    return datetime.fromisoformat(instant).utcoffset() == timedelta(0)


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """Make a validator of a schema of the document, which may refer to the document's components."""
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]}, format_checker=_formats)


_BODIES = {
    (path, status): validator(response["content"]["application/json"]["schema"])
    for path, methods in DOCUMENT["paths"].items()
    for status, response in methods["post"]["responses"].items()
}


def assert_conforms(
    answer: TestResponse, own_codes: Collection[str] = (), *, handles_errors: bool = False
) -> None:
    """Assert that the document allows an answer of the endpoints.

    An answer without a ``code`` is the host's: a page for a wrong method, a redirect, the refusal of a hook.
    It is not checked, unless its status is 5xx: the endpoints answer their own failures with a ``code``.

    Args:
        answer: The answer.
        own_codes: Codes of the app's own refusals, whose document another test reads. They are not checked.
        handles_errors: Whether a 5xx may come from an error handler of the app.
    """
    path = next((path for path in DOCUMENT["paths"] if answer.request.path.endswith(path)), None)
    if path is None:
        return
    method, status = answer.request.method.lower(), str(answer.status_code)
    body = _json(answer.data)
    code = body["code"] if isinstance(body, dict) and "code" in body else None
    described = f"{method} {path} answered {status} {body}"
    if code is None:
        assert answer.status_code < 500 or handles_errors, f"{described}, without a code"
        return
    if code in own_codes:
        return
    response = DOCUMENT["paths"][path].get(method, {"responses": {}})["responses"].get(status)
    assert response, f"{described}, a status that the document does not have"
    assert answer.mimetype in response["content"], f"{described}, as {answer.mimetype}"
    for name, header in response.get("headers", {}).items():
        values = answer.headers.getlist(name)
        assert values or not header.get("required"), f"{described}, without {name}"
        assert all(map(validator(header["schema"]).is_valid, values)), f"{described}, with {name}: {values}"
    faults = [error.message for error in _BODIES[path, status].iter_errors(body)]
    assert not faults, f"{described}: {faults}"


def watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the test clients of all apps raise AssertionError for an answer that does not conform."""
    opened = FlaskClient.open

    def open_and_check(self: FlaskClient, *args: Any, **kwargs: Any) -> TestResponse:
        answer = opened(self, *args, **kwargs)
        config = self.application.config
        handles_errors = config.get(HANDLES_ERRORS, False)
        assert_conforms(answer, config.get(OWN_CODES, ()), handles_errors=handles_errors)
        return answer

    monkeypatch.setattr(FlaskClient, "open", open_and_check)


def _json(body: bytes) -> object:
    """Read JSON as any client does: the JSON provider of a host may read it in another way."""
    try:
        return json.loads(body)
    except ValueError:
        return None
