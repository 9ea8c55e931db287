"""Errors as ``application/problem+json`` (RFC 9457), wherever they come from."""

from __future__ import annotations

from flask import Flask, current_app, json
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException, InternalServerError


def handle_errors(app: Flask) -> None:
    """Register the error handlers."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected_error)


def _http_error(error: HTTPException) -> ResponseReturnValue:
    response = error.get_response()
    problem = {"type": "about:blank", "title": error.name, "status": error.code, "detail": error.description}
    response.data = json.dumps(problem)  # type: ignore[attr-defined]
    response.content_type = "application/problem+json"
    return response


def _unexpected_error(error: Exception) -> ResponseReturnValue:
    current_app.logger.error("Unexpected error", exc_info=error)
    return _http_error(InternalServerError())
