"""Start, pause, kill and clean up the processes of private servers (Linux only, it reads /proc).

Run as a program, this file is the guardian: it waits until the test process is gone, however that ended,
and then kills what is left in the directory it was given and removes it.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

LOOPBACK = "127.0.0.1"
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_M = TypeVar("_M", bound="Managed")
_T = TypeVar("_T")
_given_ports: set[int] = set()


class ServerError(RuntimeError):
    """A server or one of its tools failed or took too long; the message holds the tail of its log."""


class Managed(ABC):
    """A context manager that starts on entry and leaves nothing running, also when the start fails."""

    @abstractmethod
    def start(self) -> None:
        """Start and wait until ready."""

    @abstractmethod
    def close(self) -> None:
        """End everything and remove what it left; safe to call at any time and twice."""

    def __enter__(self: _M) -> _M:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Process:
    """A running program together with every process that works in the same directory."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        directory: Path,
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start `command` in `directory`, appending its output to `log`.

        With `environment` it runs as our own account, which may read the checkout; else as the servers'.
        """
        self.log = log
        self._directory = directory
        account = unprivileged_account() if environment is None else None
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                command,
                cwd=directory,
                env=_environment(directory) if environment is None else environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=account and account.pw_uid,
                group=account and account.pw_gid,
                extra_groups=None if account is None else [],
            )

    @property
    def running(self) -> bool:
        """Return whether the program has not ended (a paused one has not)."""
        return self._popen.poll() is None

    @property
    def children(self) -> list[int]:
        """The process ids of the program's children, such as the workers of a web server."""
        pid = self._popen.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def wait(self, timeout: float) -> int:
        """Return the program's exit status, or kill it and raise after `timeout` seconds."""
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerError(f"still running after {timeout} s\n{_tail(self.log)}") from None

    def pause(self) -> None:
        """Stop every process with SIGSTOP and wait until the kernel has done so."""
        self._freeze()

    def resume(self) -> None:
        """Let every process go on."""
        for pid in processes_in(self._directory):
            _send(pid, signal.SIGCONT)

    def terminate(self, number: signal.Signals, timeout: float) -> None:
        """Ask the program to end and wait; kill it and raise when it does not."""
        self.resume()
        if self.running:
            self._popen.send_signal(number)
        self.wait(timeout)

    def kill(self) -> None:
        """Kill -9 the program and all others in its directory at once, and wait until they are gone."""
        # Frozen first: a PostgreSQL postmaster that lives on would start crash recovery.
        with contextlib.suppress(ServerError):  # what does not stop in time is killed all the same
            self._freeze()
        kill_processes_in(self._directory)
        self._popen.kill()
        self._popen.wait(60)

    def _freeze(self) -> None:
        # The program first, so that it starts no child between the listing and the signal.
        if self.running:
            self._popen.send_signal(signal.SIGSTOP)
            wait_until(lambda: _state(self._popen.pid) in "TZX", 60, "the program to stop")
        others = processes_in(self._directory)
        for pid in others:
            _send(pid, signal.SIGSTOP)
        wait_until(lambda: all(_state(pid) in "TZX" for pid in others), 60, "the processes to stop")


def run(command: Sequence[str | Path], *, directory: Path, log: Path, timeout: float = 120) -> None:
    """Run a tool to its end; raise with the tail of its output when it fails."""
    tool = Process(command, directory=directory, log=log)
    try:
        status = tool.wait(timeout)
    except BaseException:
        tool.kill()
        raise
    if status != 0:
        raise ServerError(f"{command[0]} failed with status {status}\n{_tail(log)}")


def system_program(name: str) -> Path | None:
    """Find a program of the system, also where an ordinary user's PATH does not lead."""
    found = shutil.which(name) or shutil.which(name, path=_SYSTEM_PATH)
    return Path(found) if found else None


def wait_until(predicate: Callable[[], bool], timeout: float, what: str, log: Path | None = None) -> None:
    """Return when `predicate` is true; raise with the tail of `log` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not predicate():
        if time.monotonic() > deadline:
            raise ServerError(f"waited {timeout} s in vain for {what}\n{_tail(log)}")
        time.sleep(0.02)


def free_port() -> int:
    """Return a loopback port that nobody listens on and that this process has not been given before."""
    # Below the kernel's ephemeral range: a client that keeps calling a killed server's port could otherwise
    # be given that very port as its own end, connect to itself and keep the server from coming back.
    while True:
        port = random.randrange(10240, 32768)
        if port in _given_ports:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            _given_ports.add(port)
            return port


def new_directory(name: str) -> Path:
    """Make a directory that the servers' account owns and that vanishes with this process."""
    directory = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=_guarded_root()))
    give_away(directory)
    return directory


def give_away(path: Path) -> None:
    """Make the servers' account the owner of `path`, when that is another one than ours."""
    account = unprivileged_account()
    if account is not None:
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


def unprivileged_account() -> pwd.struct_passwd | None:
    """Return the account that servers run as when we are root, which PostgreSQL refuses; else None."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def processes_in(directory: Path) -> list[int]:
    """List the living processes whose working directory lies in `directory`."""
    # Not by parent or process group: each PostgreSQL backend leads a session of its own, and is given to
    # init when the postmaster dies.
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if Path(os.readlink(entry / "cwd").removesuffix(" (deleted)")).is_relative_to(directory):
                found.append(int(entry.name))
    return [pid for pid in found if _state(pid) not in "ZX"]


def kill_processes_in(directory: Path) -> None:
    """Kill -9 the processes in `directory` until there are none."""

    def gone() -> bool:
        left = processes_in(directory)
        for pid in left:
            _send(pid, signal.SIGKILL)
        return not left

    wait_until(gone, 60, f"the processes in {directory} to die")


def remove_shared_memory(directory: Path) -> None:
    """Remove the System V segments that PostgreSQL servers in `directory` left behind after a kill -9."""
    for lock in directory.glob("**/postmaster.pid"):
        with contextlib.suppress(FileNotFoundError, IndexError):
            segment = lock.read_text().splitlines()[6].split()[-1]
            subprocess.run(["ipcrm", "-m", segment], capture_output=True, check=False, timeout=60)


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _state(pid: int) -> str:
    """Return the kernel's letter for a process' state; X for one that is no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def _tail(log: Path | None) -> str:
    if log is None or not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-40:])


def _environment(directory: Path) -> dict[str, str]:
    # Nothing of ours but PATH: variables such as PGHOST or MYSQL_HOME would reach the user's own servers.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    return {"PATH": path, "HOME": str(directory), "TMPDIR": str(directory), "LC_ALL": "C"}


@functools.cache
def _guarded_root() -> Path:
    """Make the directory that holds all others, and start the guardian that removes it after us."""
    root = Path(tempfile.mkdtemp(prefix="aegis-servers-")).resolve()
    root.chmod(0o711)
    # A session of its own keeps Ctrl-C from it; its standard input ends when this process does.
    guardian = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, root], stdin=subprocess.PIPE, cwd="/", start_new_session=True
    )
    atexit.register(guardian.communicate, timeout=60)
    return root


def _guard(root: Path) -> None:
    sys.stdin.read()
    kill_processes_in(root)
    remove_shared_memory(root)
    shutil.rmtree(root, ignore_errors=True)


def try_again(call: Callable[[], _T], error: type[Exception], tries: int = 20) -> _T:
    """Return what a call returns, where a race may make it fail a few times."""
    for _ in range(tries - 1):
        with contextlib.suppress(error):
            return call()
    return call()


if __name__ == "__main__":
    _guard(Path(sys.argv[1]))
