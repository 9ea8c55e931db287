"""Run private MariaDB servers, single or as a Galera cluster of three nodes."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from .process import LOOPBACK, Managed, ServerError, free_port, give_away, run, system_program, wait_until
from .server import Server

TIME_LIMITS = {"connect_timeout": 2, "read_timeout": 4, "write_timeout": 4}
_SETTINGS = (
    "--no-defaults",
    "--skip-name-resolve",
    "--character-set-server=utf8mb4",
    "--collation-server=utf8mb4_general_ci",
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=16M",
    "--performance-schema=OFF",
)
_GALERA_SETTINGS = (
    "--wsrep-on=ON",
    "--wsrep-cluster-name=aegis",
    "--wsrep-sst-method=rsync",
    "--binlog-format=ROW",
    "--innodb-autoinc-lock-mode=2",
)
# Shorter than Galera's defaults, so that a dead node is given up after two seconds.
_GALERA_OPTIONS = {
    "gcache.size": "16M",
    "pc.recovery": "false",
    "evs.keepalive_period": "PT0.5S",
    "evs.inactive_check_period": "PT0.25S",
    "evs.suspect_timeout": "PT2S",
    "evs.inactive_timeout": "PT4S",
    "evs.install_timeout": "PT4S",
}


def galera_library() -> Path | None:
    """Find the Galera provider library."""
    folders = ("lib/galera", "lib64/galera-4", "lib64/galera", "lib", "local/lib")
    candidates = [Path("/usr", folder, "libgalera_smm.so") for folder in folders]
    return next((path for path in candidates if path.exists()), None)


class MariaDBServer(Server):
    """One MariaDB server whose account `root` has no password, with an empty database `test`."""

    def __init__(self) -> None:
        """Choose a port and make a directory; nothing runs before `start`."""
        super().__init__("mariadb")

    def url(self, driver: str = "pymysql", database: str = "test") -> str:
        """Return the SQLAlchemy URL, with time limits, for pymysql or mysqldb."""
        options = "&".join(f"{name}={seconds}" for name, seconds in TIME_LIMITS.items())
        if driver == "pymysql":
            options += "&ssl_disabled=1"  # else each connection reads all certificates of the system
        return f"mysql+{driver}://root@{LOOPBACK}:{self.port}/{database}?charset=utf8mb4&{options}"

    def terminate_backends(self) -> int:
        """KILL every client's session but the caller's own; return how many."""
        sessions = self.execute(
            "SELECT id FROM information_schema.processlist WHERE user = 'root' AND id <> connection_id()"
        )
        # One may end by itself meanwhile, which makes its KILL an error.
        return sum(self.answer(f"KILL CONNECTION {session}") is not None for (session,) in sessions)

    def _create_data(self) -> None:
        # --no-defaults has to come first.
        command = [system_program("mariadb-install-db") or "mariadb-install-db", *_SETTINGS]
        command += [f"--datadir={self.data}", "--auth-root-authentication-method=normal"]
        run(command, directory=self.directory, log=self.log)

    def _command(self) -> Sequence[str | Path]:
        return [
            system_program("mariadbd") or "mariadbd",
            *_SETTINGS,
            f"--datadir={self.data}",
            f"--tmpdir={self.directory}",
            f"--socket={self.directory / 'socket'}",
            f"--pid-file={self.directory / 'pid'}",
            f"--bind-address={LOOPBACK}",
            f"--port={self.port}",
        ]

    def _admin_url(self) -> str:
        # Longer than a cluster takes to give a lost node up.
        return self.url().replace(f"read_timeout={TIME_LIMITS['read_timeout']}", "read_timeout=30")


class GaleraNode(MariaDBServer):
    """One node of a Galera cluster; started again after a kill, it copies the data of another node."""

    def __init__(self, library: Path) -> None:
        """Choose ports and make a directory; the cluster sets the peers."""
        super().__init__()
        self.address = f"{LOOPBACK}:{free_port()}"
        self.peers: list[GaleraNode] = []
        self._library = library
        self._stopped_in_order = False
        self._transfer_addresses = [f"{LOOPBACK}:{free_port()}" for _ in range(2)]

    def ready(self) -> bool:
        """Return whether the node is in the primary component and has caught up."""
        return self.status("wsrep_ready") == "ON" and self.status("wsrep_local_state_comment") == "Synced"

    def status(self, name: str) -> str | None:
        """Return one of the server's status variables, or None when the server does not answer."""
        rows = self.answer(f"SHOW GLOBAL STATUS LIKE '{name}'")
        return str(rows[0][1]) if rows else None

    def stop(self, timeout: float = 30) -> None:
        """Shut the node down in order; it needs only what it misses when it starts again."""
        super().stop(timeout)
        self._stopped_in_order = True

    def _prepare(self) -> None:
        # The copy from another node leaves the log of a CREATE TABLE that the kill interrupted, and MariaDB
        # would undo that CREATE TABLE in the copy.
        if not self._stopped_in_order and not self._founds_cluster():
            shutil.rmtree(self.data, ignore_errors=True)
        self._stopped_in_order = False
        super()._prepare()

    def _create_data(self) -> None:
        # All but the first node get theirs from another node.
        if self._founds_cluster():
            super()._create_data()
        else:
            self.data.mkdir()
            give_away(self.data)

    def _command(self) -> Sequence[str | Path]:
        copy_to, replay_to = self._transfer_addresses
        options = {
            **_GALERA_OPTIONS,
            "gmcast.listen_addr": f"tcp://{self.address}",
            "ist.recv_addr": replay_to,
        }
        peers = [] if self._founds_cluster() else [peer.address for peer in self.peers]
        return [
            *super()._command(),
            *_GALERA_SETTINGS,
            f"--wsrep-provider={self._library}",
            f"--wsrep-provider-options={';'.join(f'{name}={value}' for name, value in options.items())}",
            f"--wsrep-cluster-address=gcomm://{','.join(peers)}",
            f"--wsrep-node-address={self.address}",
            f"--wsrep-sst-receive-address={copy_to}",
        ]

    def _founds_cluster(self) -> bool:
        return not any(peer.running for peer in self.peers)


class GaleraCluster(Managed):
    """Three Galera nodes."""

    def __init__(self) -> None:
        """Choose ports and directories; nothing runs before `start`."""
        library = galera_library()
        if library is None:
            raise ServerError("no Galera library: apt install galera-4")
        self.nodes = [GaleraNode(library) for _ in range(3)]
        for node in self.nodes:
            node.peers = [peer for peer in self.nodes if peer is not node]

    def start(self) -> None:
        """Start the nodes one after the other, each copying from one before, and wait until all agree."""
        for node in self.nodes:
            node.start()
        self.wait_synced()

    def wait_synced(self, timeout: float = 180) -> None:
        """Wait until all nodes that run see each other, and nobody else, and have caught up."""
        running = [node for node in self.nodes if node.running]

        def agreed() -> bool:
            size = str(len(running))
            return all(node.status("wsrep_cluster_size") == size and node.ready() for node in running)

        wait_until(agreed, timeout, "the nodes to agree", running[0].log if running else None)

    def close(self) -> None:
        """Kill all nodes and remove their directories."""
        with ExitStack() as stack:  # each is closed, also after one that cannot be
            for node in self.nodes:
                stack.callback(node.close)
