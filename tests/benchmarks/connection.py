"""One keep-alive connection, at a fraction of the cost of http.client."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import Any

from flask_aegis_machines._endpoint_definitions import REGISTER

LOOPBACK = "127.0.0.1"


def request(document: Mapping[str, object], token: str | None, path: str = REGISTER.path) -> bytes:
    """Return the bytes of a request."""
    body = json.dumps(document).encode()
    lines = [f"POST {path} HTTP/1.1", f"Host: {LOOPBACK}", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(body)}", *([] if token is None else [f"Authorization: Bearer {token}"])]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """A connection to a server that tells the length of each of its answers."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((LOOPBACK, port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answers = self._socket.makefile("rb")

    def close(self) -> None:
        """Close the connection."""
        self._answers.close()
        self._socket.close()

    def send(self, request: bytes) -> tuple[int, bytes]:
        """Send a request; return the status and the body of its answer."""
        self._socket.sendall(request)
        status = int(self._answers.readline().split()[1])
        length = 0
        while (line := self._answers.readline()) != b"\r\n":
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return status, self._answers.read(length)

    def ask(self, request: bytes) -> tuple[int, dict[str, Any]]:
        """Send a request; return the status and the parsed JSON of its answer."""
        status, body = self.send(request)
        return status, json.loads(body)
