"""The web servers of teams, and nginx before one of them: what they make of a body, and of a refusal."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Any

import pytest

from flask_aegis_machines._body import MAX_BYTES
from tests.servers import (
    Gunicorn,
    Hypercorn,
    Nginx,
    Uwsgi,
    UwsgiBehindNginx,
    Waitress,
    WebServer,
    require_module,
    require_nginx,
    require_web_server,
)
from tests.servers.process import try_again
from tests.support.hosts import REGISTER_PATH, example

pytestmark = pytest.mark.clusters  # for its time

APP = "tests.servers.apps.memory:create_app()"
KINDS: dict[str, Callable[[], WebServer]] = {
    "gunicorn-sync": lambda: Gunicorn(APP, "--worker-class=sync"),
    "gunicorn-gthread": lambda: Gunicorn(APP, "--worker-class=gthread", "--threads=2"),
    "gunicorn-gevent": lambda: Gunicorn(APP, "--worker-class=gevent"),
    "hypercorn": lambda: Hypercorn(APP),
    "uwsgi": lambda: Uwsgi(APP),
    "waitress": lambda: Waitress(APP),
}
# They hand a chunked body on without its length, and do not say where it ends.
LENGTH_NEEDED = {"hypercorn", "uwsgi"}
TRIES = 400


@pytest.fixture
def server(kind: str) -> Iterator[WebServer]:
    """A web server that serves the app in one process."""
    require_web_server(kind.partition("-")[0])
    if kind == "gunicorn-gevent":
        require_module("gevent", "gevent")
    with KINDS[kind]() as server:
        yield server


def post(port: int, body: bytes | Iterable[bytes], user: str = "1") -> tuple[int, Any]:
    """Post to the registration; return the status and the parsed body of the answer."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {user}"}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("POST", REGISTER_PATH, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        return answer.status, json.loads(content) if answer.status != 502 else None


@pytest.mark.parametrize("kind", KINDS)
def test_a_body_is_read_or_its_length_is_asked_for(kind: str, server: WebServer) -> None:
    """A plain body is read by all; a chunked one is read, or the answer says what is missing."""
    body = json.dumps(example()).encode()
    assert post(server.port, body)[1]["code"] == "10000"
    # A server that leaves the body unread may reset the connection before the client has read the answer.
    status, answer = try_again(lambda: post(server.port, iter([body[:50], body[50:]])), ConnectionError)
    if kind in LENGTH_NEEDED:
        assert (status, answer["code"]) == (400, "10400")
        assert "Content-Length" in str(answer["data"])
    else:
        assert (status, answer["code"]) == (409, "10004")


def answers_through_nginx(size: int, user: str, *options: str) -> Counter[tuple[int, str | None]]:
    """Send a body of spaces often through nginx to uWSGI; count the statuses with their codes."""
    require_nginx()
    require_web_server("uwsgi")
    with UwsgiBehindNginx(APP, *options) as uwsgi, Nginx(uwsgi.port) as nginx:
        answers = [post(nginx.port, b" " * size, user) for _ in range(TRIES)]
    return Counter((status, answer and answer["code"]) for status, answer in answers)


@pytest.mark.parametrize("size", [1_000, MAX_BYTES])
def test_nginx_passes_on_what_is_refused_unread(size: int) -> None:
    """UWSGI closes the connection over an unread body, which nginx would answer with 502."""
    assert answers_through_nginx(size, "nobody") == {(401, "10401"): TRIES}


@pytest.mark.parametrize("size", [MAX_BYTES + 1, 200_000])
def test_nginx_passes_on_10413_where_uwsgi_buffers(size: int) -> None:
    """A body that is too big is never read by the app, so uWSGI must read it."""
    assert answers_through_nginx(size, "1", "--post-buffering=8192") == {(413, "10413"): TRIES}
