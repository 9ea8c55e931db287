"""Stand between a client and a database server: count round trips, delay them, lose requests or replies."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any

from .process import LOOPBACK, Managed, free_port

Predicate = Callable[[bytes], bool]
_CHUNK = 65536


class Proxy(Managed):
    """A TCP proxy on loopback for protocols in the clear.

    A predicate is shown everything that a client has sent since the server's last reply. Mind what that is:
    psycopg 3 sends a statement's text only to prepare it, at its sixth execution, and never again,
    so that only a value, such as a machine code, marks each execution.

    Attributes:
        delay: Seconds that each message waits in each direction, as between two regions.
    """

    def __init__(self, upstream_host: str, upstream_port: int) -> None:
        """Choose a port; nothing listens before `start`."""
        self.host = LOOPBACK
        self.port = free_port()
        self._upstream = (upstream_host, upstream_port)
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._listener: _Listener | None = None
        self._fired = 0
        self._round_trips: list[int] = []
        self.delay = 0.0
        self.forward()

    @property
    def fired(self) -> int:
        """The number of events so far: replies lost, requests dropped, connections cut or refused."""
        with self._lock:
            return self._fired

    @property
    def round_trips(self) -> list[int]:
        """The number of round trips of each connection so far, in the order in which they were opened.

        A round trip is a request, in however many packets, and the first bytes of its reply.
        """
        with self._lock:
            return list(self._round_trips)

    def lose_commit_reply(self, matches: Predicate, times: int | None = 1) -> None:
        """Let the next `times` matching requests be executed, but drop the reply and cut the client off.

        None stands for every one until `forward`.
        """
        with self._lock:
            self._lose = _Mode(matches, times)

    def drop_before(self, matches: Predicate, times: int | None = 1) -> None:
        """Cut the client off before the next `times` matching requests reach the server."""
        with self._lock:
            self._drop = _Mode(matches, times)

    def refuse(self, times: int | None = None) -> None:
        """Close the next `times` new connections at once."""
        with self._lock:
            self._refuse = _Mode(lambda _: True, times)

    def forward(self) -> None:
        """Switch all modes off."""
        with self._lock:
            self._lose = self._drop = self._refuse = _Mode(lambda _: False, 0)

    def drop_all(self) -> None:
        """Cut all connections now."""
        with self._lock:
            self._fired += len(self._connections)
            for client in self._connections:
                # Wakes the connection's thread, which closes both ends.
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)

    def start(self) -> None:
        """Begin to listen."""
        self._listener = _Listener((self.host, self.port), self._serve)
        threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stop listening and cut all connections."""
        if self._listener is not None:
            self._listener.shutdown()
            self.drop_all()
            self._listener.server_close()
            self._listener = None

    def _serve(self, client: socket.socket) -> None:
        if self._fires(self._refuse, b""):
            return
        # An error is one of the two ends closing, or a server that is down.
        with contextlib.suppress(OSError), socket.create_connection(self._upstream) as server:
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._connections.add(client)
                self._round_trips.append(0)
                number = len(self._round_trips) - 1
            try:
                self._relay(client, server, number)
            finally:
                with self._lock:
                    self._connections.discard(client)

    def _relay(self, client: socket.socket, server: socket.socket, number: int) -> None:
        request = b""
        lose = False
        while True:
            readable = wait([client, server])
            # The server first: what it has sent by now answers earlier requests than the one to come.
            if server in readable:
                reply = server.recv(_CHUNK)
                # It replies when the work is done, so this is after the COMMIT.
                if not reply or lose:
                    return
                if request:
                    with self._lock:
                        self._round_trips[number] += 1
                request = b""
                time.sleep(self.delay)
                client.sendall(reply)
            if client in readable:
                data = client.recv(_CHUNK)
                request += data
                if not data or self._fires(self._drop, request):
                    return
                lose = lose or self._fires(self._lose, request)
                time.sleep(self.delay)
                server.sendall(data)

    def _fires(self, mode: _Mode, request: bytes) -> bool:
        with self._lock:
            fires = mode.left != 0 and mode.matches(request)
            if fires:
                self._fired += 1
                mode.left = None if mode.left is None else mode.left - 1
            return fires


@dataclass
class _Mode:
    """When to interfere, and how often still (None for always)."""

    matches: Predicate
    left: int | None


class _Listener(socketserver.ThreadingTCPServer):
    """Serve each connection in a thread of its own."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        super().__init__(address, socketserver.BaseRequestHandler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        self._serve(request)
