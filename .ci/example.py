"""Starts the example by a command, and talks to it as a client would."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen


@contextmanager
def serving(command: str) -> Iterator[str]:
    """Run the command, which serves the example with a fresh database; give its address once it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as instance:
        environment = {**os.environ, "FLASK_RUN_PORT": str(port), "FLASK_INSTANCE_PATH": instance}
        server = subprocess.Popen(["bash", "-c", command], env=environment, start_new_session=True)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_it_serves(url, server, 600)
            yield url
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                raise


def wait_until_it_serves(url: str, server: subprocess.Popen[bytes], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < deadline:
        try:
            urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    sys.exit("the example does not serve")


def get(url: str) -> Any:
    with urlopen(url, timeout=30) as answer:
        return json.load(answer)


def post(url: str, body: dict[str, str], token: str = "") -> tuple[int, Any]:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    request = Request(url, json.dumps(body).encode(), headers)
    try:
        with urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, json.load(error)


def sign_in(url: str, user: str) -> str:
    status, answer = post(url + "/login", {"user_AegisSpeed_id": user, "password": "demo"})
    assert status == 200, (status, answer)
    token: str = answer["access_token"]
    return token
