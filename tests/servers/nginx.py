"""Run a private nginx before another web server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .process import LOOPBACK, give_away, system_program
from .program import Program

_SETTINGS = """
daemon off;
pid {directory}/pid;
error_log stderr;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    uwsgi_temp_path {directory}/uwsgi;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen {host}:{port};
        location / {{
            {params}
            uwsgi_pass {host}:{upstream};
        }}
    }}
}}
"""
# What Debian's file /etc/nginx/uwsgi_params holds, as far as a WSGI server asks for it.
_PARAMS = {
    "QUERY_STRING": "query_string",
    "REQUEST_METHOD": "request_method",
    "CONTENT_TYPE": "content_type",
    "CONTENT_LENGTH": "content_length",
    "REQUEST_URI": "request_uri",
    "PATH_INFO": "document_uri",
    "SERVER_PROTOCOL": "server_protocol",
    "REQUEST_SCHEME": "scheme",
    "REMOTE_ADDR": "remote_addr",
    "REMOTE_PORT": "remote_port",
    "SERVER_PORT": "server_port",
    "SERVER_NAME": "server_name",
}


class Nginx(Program):
    """nginx that hands every request to a server which speaks the uwsgi protocol."""

    def __init__(self, upstream: int) -> None:
        """Choose a port and make a directory; `upstream` is the port of the other server."""
        super().__init__("nginx")
        self._upstream = upstream
        self._file = self.directory / "nginx.conf"

    def _prepare(self) -> None:
        params = " ".join(f"uwsgi_param {name} ${variable};" for name, variable in _PARAMS.items())
        values = {"directory": self.directory, "port": self.port, "upstream": self._upstream}
        self._file.write_text(_SETTINGS.format(host=LOOPBACK, params=params, **values))
        give_away(self._file)

    def _command(self) -> Sequence[str | Path]:
        return [system_program("nginx") or "nginx", "-e", "stderr", "-p", self.directory, "-c", self._file]
