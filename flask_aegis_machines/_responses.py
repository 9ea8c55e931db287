"""Makes the response of an answer: its JSON object and its headers."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Response, jsonify
from werkzeug.exceptions import HTTPException

from ._answers import BOUND, BOUND_TO_USER, TOO_MANY_REQUESTS, Answer
from ._endpoint_definitions import Endpoint

__all__ = ["make_rate_limit_response", "make_response"]

# These describe the body of the limiter's response, which is replaced.
_HEADERS_OF_BODY = {"content-type", "content-length", "content-encoding"}


def make_response(endpoint: Endpoint, answer: Answer, data: Mapping[str, object] | None = None) -> Response:
    """Make the response of an answer.

    Args:
        endpoint: The endpoint that answers; its envelope is used.
        answer: The fixed part of the answer.
        data: Its ``data``: only strings, integers, dictionaries and lists, for any JSON provider.

    Returns:
        The response.

    Raises:
        Exception: The JSON provider of the app failed.
    """
    body: dict[str, object] = {"status": answer.status, "code": answer.code}
    if endpoint.envelope == "info":
        body.update(info=answer.result, result=answer in (BOUND, BOUND_TO_USER))
        if data:
            body.update(data=data)
    else:
        body.update(result=answer.result, data=data or {})
    response = jsonify(body)
    response.status_code = answer.status
    if answer.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def make_rate_limit_response(endpoint: Endpoint, error: HTTPException) -> Response:
    """Make the response for a 429 that a rate limiter raised, with the limiter's headers.

    Args:
        endpoint: The endpoint that was called.
        error: What the limiter raised.

    Returns:
        The response.

    Raises:
        Exception: The JSON provider of the app failed.
    """
    response = make_response(endpoint, TOO_MANY_REQUESTS)
    for header, value in error.get_response().headers:
        if header.lower() not in _HEADERS_OF_BODY:
            response.headers.add(header, value)
    return response
