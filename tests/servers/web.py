"""Serve a WSGI app of the tests as teams do: with gunicorn, uWSGI, waitress or hypercorn."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .process import LOOPBACK
from .program import Program

ROOT = Path(__file__).parent.parent.parent


class WebServer(Program):
    """A web server that runs as our own account, from this checkout."""

    def __init__(self, app: str, *options: str, environment: Mapping[str, str] | None = None) -> None:
        """Choose a port and make a directory.

        Args:
            app: The app, as `module:function()`.
            options: More options of the server's command line.
            environment: Variables for the app.
        """
        super().__init__(type(self).__name__.lower())
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
        self._app = app
        self._options = options


class Gunicorn(WebServer):
    """gunicorn; its option `--worker-class` chooses how it works."""

    def _command(self) -> Sequence[str | Path]:
        bind = f"--bind={LOOPBACK}:{self.port}"
        return [sys.executable, "-m", "gunicorn", bind, *self._options, self._app]


class Uwsgi(WebServer):
    """uWSGI, which forks its workers after it has loaded the app, unless it is given `--lazy-apps`."""

    protocol = "--http-socket"

    def _command(self) -> Sequence[str | Path]:
        command: list[str | Path] = [Path(sys.executable).with_name("uwsgi"), "--master", "--need-app"]
        # It closes each connection, and does not say so by itself.
        command += [f"{self.protocol}={LOOPBACK}:{self.port}", "--add-header=Connection: close"]
        if sys.prefix != sys.base_prefix:
            command.append(f"--virtualenv={sys.prefix}")
        return [*command, f"--module={self._app}", *self._options]


class UwsgiBehindNginx(Uwsgi):
    """uWSGI that speaks its own protocol, for nginx."""

    protocol = "--socket"


class Waitress(WebServer):
    """waitress."""

    def _command(self) -> Sequence[str | Path]:
        listen = f"--listen={LOOPBACK}:{self.port}"
        factory = self._app.removesuffix("()")
        return [sys.executable, "-m", "waitress", listen, *self._options, "--call", factory]


class Hypercorn(WebServer):
    """hypercorn, an ASGI server that also serves WSGI apps."""

    def _command(self) -> Sequence[str | Path]:
        bind = f"--bind={LOOPBACK}:{self.port}"
        return [sys.executable, "-m", "hypercorn", bind, *self._options, f"wsgi:{self._app}"]
