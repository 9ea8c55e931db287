"""How the body of a request is read, over the wire and over WSGI."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, abort, request
from flask.testing import FlaskClient
from werkzeug.test import EnvironBuilder, TestResponse, run_wsgi_app

from flask_aegis_machines._body import MAX_BYTES
from tests.support.hosts import REGISTER_PATH

Register = Callable[..., TestResponse]
JSON = "application/json"


def padded(document: dict[str, Any], size: int) -> bytes:
    """Return the document as JSON of exactly so many bytes."""
    body = json.dumps(document).encode()
    return body + b" " * (size - len(body))


@pytest.mark.parametrize("content_type", [JSON, f"{JSON}; charset=utf-8", "Application/JSON"])
def test_json_is_read_under_its_name(register: Register, document: dict[str, Any], content_type: str) -> None:
    """The documented Content-Type is taken in any case, a charset parameter included."""
    assert register(data=json.dumps(document), content_type=content_type).status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [None, "", "text/plain", "application/x-www-form-urlencoded", "application/vnd.api+json", "json"],
)
def test_another_content_type_is_10415(
    register: Register, document: dict[str, Any], content_type: str | None
) -> None:
    """A body under another name is not looked at."""
    answer = register(data=json.dumps(document), content_type=content_type)
    assert (answer.status_code, answer.json) == (
        415,
        {"status": 415, "code": "10415", "result": "Content-Type must be application/json", "data": {}},
    )


@pytest.mark.parametrize(
    "body",
    [
        *(b" ", b"{", b"nope", b"[]", b'["user_AegisSpeed_id"]', b'"text"', b"7", b"null", b"true"),
        *(b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1} {}', b"{'a': 1}", b'{"a": "\n"}'),
        *(b'{"a": "\xff"}', "{}".encode("utf-16"), b'{"a": ' + b"9" * 5000 + b"}"),
        *(b"[" * MAX_BYTES, b'{"a":' * 3000),
    ],
    ids=range(19),
)
def test_what_is_no_json_object_is_10400(register: Register, body: bytes) -> None:
    """Broken, foreign and too deep bodies get an answer of the envelope that says what is expected."""
    answer = register(data=body, content_type=JSON)
    assert (answer.status_code, answer.json) == (
        400,
        {
            "status": 400,
            "code": "10400",
            "result": "Invalid request",
            "data": {"errors": {"body": ["must be a JSON object in UTF-8"]}},
        },
    )


def test_an_empty_body_without_a_length_says_what_is_missing(app: Flask, token: str) -> None:
    """The server uWSGI and hypercorn hand a chunked body over without saying where it ends."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": JSON}
    builder = EnvironBuilder(path=REGISTER_PATH, method="POST", headers=headers)
    ready = builder.get_environ()
    ready.pop("CONTENT_LENGTH", None)
    ready.update({"wsgi.input": io.BytesIO(b'{"a": 1}'), "HTTP_TRANSFER_ENCODING": "chunked"})
    body, status, _ = run_wsgi_app(app, ready)
    (message,) = json.loads(b"".join(body))["data"]["errors"]["body"]
    assert status[:3] == "400"
    assert "Content-Length" in message


@pytest.mark.parametrize("size", [100, MAX_BYTES])
@pytest.mark.parametrize("refusal", ["10001", "10401", "10415", "10429", "the host's own"])
def test_a_small_body_is_read_before_a_refusal(app: Flask, token: str, refusal: str, size: int) -> None:
    """A server that closes a connection with an unread body makes the proxy answer 502."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": JSON}
    if refusal == "10001":
        app.config["AEGIS_MACHINES_REGISTER_OPEN"] = False
    elif refusal == "10401":
        del headers["Authorization"]
    elif refusal == "10415":
        headers["Content-Type"] = "text/plain"
    elif refusal == "10429":
        app.before_request(lambda: abort(429))
    else:
        app.extensions["flask-jwt-extended"].token_in_blocklist_loader(lambda header, claims: abort(503))
    stream = Endless(b" " * size)
    ready = EnvironBuilder(path=REGISTER_PATH, method="POST", headers=headers).get_environ()
    ready.update({"wsgi.input": stream, "wsgi.input_terminated": True, "CONTENT_LENGTH": str(size)})
    _, status, _ = run_wsgi_app(app, ready)
    assert status[:3] == {"10001": "403", "the host's own": "503"}.get(refusal, refusal[2:])
    assert stream.taken == size


def test_a_big_body_is_not_read_before_a_refusal(app: Flask) -> None:
    """Nobody makes the server read for longer than a request takes."""
    stream = Endless(b" " * (MAX_BYTES + 1))
    status, answer = post_stream(app, "no token", stream, CONTENT_LENGTH=str(MAX_BYTES + 1))
    assert (status[:3], answer["code"], stream.taken) == ("401", "10401", 0)


def test_a_body_that_breaks_off_changes_no_refusal(app: Flask) -> None:
    """The answer stands before the rest of the body is read."""
    stream = Endless(b"{", then=OSError("invalid chunk"))
    status, answer = post_stream(app, "no token", stream, CONTENT_LENGTH="4000")
    assert (status[:3], answer["code"]) == ("401", "10401")


def test_a_body_nested_too_deeply_is_10400(register: Register) -> None:
    """How deep is too deep is Python's to say, by its version; what it can read lacks an AegisSpeed ID."""
    answer = register(data=b'{"a": ' + b"[" * 8000 + b"]" * 8000 + b"}", content_type=JSON)
    assert (answer.status_code, answer.json["code"]) in {(400, "10400"), (400, "10002")}


def test_a_byte_order_mark_is_forgiven(register: Register, document: dict[str, Any]) -> None:
    """Clients on Windows put one before their JSON."""
    body = b"\xef\xbb\xbf" + json.dumps(document, ensure_ascii=False).encode()
    assert register(data=body, content_type=JSON).status_code == 200


def test_sixteen_kibibytes_are_read_and_not_one_more(register: Register, document: dict[str, Any]) -> None:
    """The longest body passes; with one byte more it is 10413, whatever is in it."""
    assert register(data=padded(document, MAX_BYTES), content_type=JSON).status_code == 200
    answer = register(data=padded(document, MAX_BYTES + 1), content_type=JSON)
    assert (answer.status_code, answer.json) == (
        413,
        {"status": 413, "code": "10413", "result": "Request body too large", "data": {}},
    )


class Endless(io.RawIOBase):
    """A body in chunks of unknown number, which counts what is read of it."""

    def __init__(self, body: bytes, *, then: Exception | None = None) -> None:
        self.rest, self.taken, self.then = io.BytesIO(body), 0, then

    def read(self, size: int = -1) -> bytes:
        part = self.rest.read(min(size, 1000) if size >= 0 else -1)
        self.taken += len(part)
        if not part and self.then is not None:
            raise self.then
        return part


def post_stream(app: Flask, token: str, stream: Endless, **environ: object) -> tuple[str, dict[str, Any]]:
    """Post a body that comes without a length, as chunked ones do."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": JSON}
    builder = EnvironBuilder(path=REGISTER_PATH, method="POST", headers=headers)
    ready = builder.get_environ()
    ready.pop("CONTENT_LENGTH", None)
    ready.update({"wsgi.input": stream, "wsgi.input_terminated": True, **environ})
    body, status, _ = run_wsgi_app(app, ready)
    return status, json.loads(b"".join(body))


def test_a_chunked_body_is_read_to_its_end(app: Flask, token: str, document: dict[str, Any]) -> None:
    """A body without a length is put together from its parts."""
    status, answer = post_stream(app, token, Endless(padded(document, 5000)))
    assert (status, answer["code"]) == ("200 OK", "10000")


def test_an_endless_body_is_not_read_to_its_end(app: Flask, token: str) -> None:
    """Of a body without a length no more than one byte too many is taken."""
    stream = Endless(b" " * MAX_BYTES * 10)
    status, answer = post_stream(app, token, stream)
    assert (status[:3], answer["code"]) == ("413", "10413")
    assert stream.taken == MAX_BYTES + 1


@pytest.mark.parametrize("environ", [{}, {"CONTENT_LENGTH": "4000"}], ids=["chunked", "with a length"])
def test_a_body_that_breaks_off_is_10400(app: Flask, token: str, environ: dict[str, str]) -> None:
    """A client that goes away, or chunks that are broken, is no fault of the server's."""
    stream = Endless(b'{"user_AegisSpeed_id":', then=OSError("invalid chunk"))
    status, answer = post_stream(app, token, stream, **environ)
    assert (status[:3], answer["code"]) == ("400", "10400")
    assert answer["data"] == {"errors": {"body": ["broke off before its end"]}}


@pytest.mark.parametrize("size", [1000, MAX_BYTES + 1])
def test_a_body_that_the_host_has_read_is_read_again(
    app: Flask, token: str, document: dict[str, Any], size: int
) -> None:
    """A hook of the host may look at the body first, without a length too; the limit stays."""
    app.before_request(lambda: request.get_data() and None)
    status, answer = post_stream(app, token, Endless(padded(document, size)))
    assert (status[:3], answer["code"]) == (("200", "10000") if size <= MAX_BYTES else ("413", "10413"))


def test_no_copy_of_the_body_stays_in_the_request(
    app: Flask, client: FlaskClient, token: str, document: dict[str, Any]
) -> None:
    """Error reporters that send along what a request holds find no hardware identifiers there."""
    found: list[bytes] = []
    app.teardown_request(lambda error: found.append(request.get_data()))
    client.post(REGISTER_PATH, json=document, headers={"Authorization": f"Bearer {token}"})
    assert found == [b""]


def test_the_limit_is_the_documented_one() -> None:
    """16 KiB are 16,384 bytes."""
    assert MAX_BYTES == 16384


def test_a_body_that_is_declared_too_long_is_not_read(app: Flask, token: str) -> None:
    """Its length is enough to refuse it."""
    stream = Endless(b" " * 20000)
    status, answer = post_stream(app, token, stream, CONTENT_LENGTH="20000")
    assert (status[:3], answer["code"], stream.taken) == ("413", "10413", 0)


def test_a_body_shorter_than_its_length_is_10400(app: Flask, token: str) -> None:
    """Servers that do not end the stream themselves leave it to Werkzeug to find out."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": JSON}
    ready = EnvironBuilder(path=REGISTER_PATH, method="POST", headers=headers).get_environ()
    ready.update({"wsgi.input": io.BytesIO(b'{"a":'), "CONTENT_LENGTH": "4000"})
    body, status, _ = run_wsgi_app(app, ready)
    answer = json.loads(b"".join(body))
    assert (status[:3], answer["data"]) == ("400", {"errors": {"body": ["broke off before its end"]}})
