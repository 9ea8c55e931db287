"""Reads the body of the current request. No error page of the host is shown, and no copy is kept."""

from __future__ import annotations

import json
from contextlib import suppress
from io import BytesIO
from typing import Any, NoReturn

from flask import request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from ._errors import InvalidRequest, PayloadTooLarge, UnsupportedContentType

__all__ = ["MAX_BYTES", "discard", "drain", "read_json_object"]

#: The longest body that is read, in bytes.
MAX_BYTES = 16 * 1024

# uWSGI, hypercorn and others do not say where a chunked body ends, so Werkzeug reads nothing of it.
_NO_LENGTH = "is empty: send a Content-Length header, since this server does not read chunked bodies"


def read_json_object() -> dict[str, Any]:
    """Read the JSON object that the current request carries.

    Returns:
        The parsed object.

    Raises:
        UnsupportedContentType: The Content-Type is not ``application/json``.
        PayloadTooLarge: The body is over 16 KiB, or over what the host allows.
        InvalidRequest: The body broke off, or is not UTF-8, not JSON, nested too deeply or not an object.
    """
    if request.mimetype != "application/json":
        raise UnsupportedContentType
    body = _read()
    if not body and request.content_length is None:
        raise InvalidRequest({"body": [_NO_LENGTH]})
    try:
        document = _DECODER.decode(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise InvalidRequest({"body": ["must be a JSON object in UTF-8"]})
    return document


def discard() -> None:
    """Discard what is not read of the body, which an error reporter would read and send.

    A body that a hook of the app has read stays cached in the request.
    """
    request.stream = BytesIO()


def drain() -> None:
    """Read what is left of a body of at most 16 KiB, and discard it.

    A server that answers and closes a connection with an unread body resets it, and the proxy in front of it
    answers 502 in place of the response.
    """
    with suppress(Exception):
        if (request.content_length or 0) <= MAX_BYTES:
            _read_stream(MAX_BYTES)
    discard()


def _read() -> bytes:
    """Read the body from the stream, so that no copy of it waits in the request for an error reporter."""
    if (request.content_length or 0) > MAX_BYTES:
        raise PayloadTooLarge
    try:
        # A chunked body has no length: never read more than one byte too many.
        body = _read_stream(MAX_BYTES + 1)
        # The stream is also empty if a hook of the host has read the body. Werkzeug has cached it then.
        body = body or request.get_data()
    except RequestEntityTooLarge:
        raise PayloadTooLarge from None
    except (BadRequest, OSError):
        raise InvalidRequest({"body": ["broke off before its end"]}) from None
    if len(body) > MAX_BYTES:
        discard()  # there may be no end to it
        raise PayloadTooLarge
    return body


def _read_stream(limit: int) -> bytes:
    body = b""
    while len(body) < limit and (part := request.stream.read(limit - len(body))):
        body += part
    return body


def _number(text: str) -> float:
    # JSON has one kind of number: 5.0 is the integer 5.
    number = float(text)
    return int(number) if number.is_integer() else number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# The standard parser, not the host's: a host's provider may turn strings into dates or decimals.
_DECODER = json.JSONDecoder(parse_float=_number, parse_constant=_refuse_constant)
