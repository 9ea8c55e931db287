"""Run a private PgBouncer."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .postgres import CONNECT_TIMEOUT, PostgresServer
from .process import LOOPBACK, ServerError, give_away, system_program
from .program import Program

_SETTINGS = """
[databases]
* = host={host} port={upstream} user=postgres

[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 200
{prepared_statements}
"""

# 1.24 keeps a client's prepared statements by default; what happens without is tested. Older versions than
# 1.21 refuse the setting.
_NO_PREPARED_STATEMENTS = "max_prepared_statements = 0"


class PgBouncer(Program):
    """PgBouncer in transaction mode: each transaction of a client may run in another session."""

    def __init__(self, server: PostgresServer, *, pool_size: int = 4) -> None:
        """Choose a port and make a directory; nothing runs before `start`."""
        super().__init__("pgbouncer")
        self._server = server
        self._pool_size = pool_size
        self._file = self.directory / "pgbouncer.ini"

    def url(self, driver: str = "psycopg", database: str = "postgres") -> str:
        """Return the SQLAlchemy URL for psycopg or psycopg2."""
        account = f"postgres@{LOOPBACK}:{self.port}"
        return f"postgresql+{driver}://{account}/{database}?connect_timeout={CONNECT_TIMEOUT}"

    def _prepare(self) -> None:
        values = {
            "port": self.port,
            "upstream": self._server.port,
            "pool_size": self._pool_size,
            "prepared_statements": _NO_PREPARED_STATEMENTS if _version() >= (1, 21) else "",
        }
        self._file.write_text(_SETTINGS.format(host=LOOPBACK, **values))
        give_away(self._file)

    def _command(self) -> Sequence[str | Path]:
        return [system_program("pgbouncer") or "pgbouncer", self._file]


def _version() -> tuple[int, ...]:
    """Return the major and the minor version of the installed PgBouncer."""
    program = system_program("pgbouncer") or "pgbouncer"
    printed = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"PgBouncer (\d+)\.(\d+)", printed)
    if found is None:
        raise ServerError(f"no version of PgBouncer in {printed!r}")
    return tuple(map(int, found.groups()))
