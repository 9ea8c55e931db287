"""Serves an app with gunicorn, as a team would, and talks to it."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from types import TracebackType

from flask_aegis_machines._records import MACHINE_FIELDS
from tests.servers import wait_until
from tests.support.hosts import REGISTER_PATH

from .history import UNANSWERED, Operation

SECRET = "a secret of the tests, of more than 32 bytes"
ROOT = Path(__file__).parent.parent.parent


class Gunicorn:
    """Three workers of four threads each on a port of loopback.

    The app is loaded before they fork: a worker that starts anew needs no database for it.
    """

    def __init__(self, folder: Path, port: int, database: str, app: str = "example_app:create_app()") -> None:
        self.port = port
        self._log = (folder / f"gunicorn-{port}.log").open("ab")
        (folder / str(port)).mkdir()
        environment = {
            **os.environ,
            "FLASK_INSTANCE_PATH": str(folder / str(port)),
            "FLASK_SQLALCHEMY_DATABASE_URI": database,
            "FLASK_JWT_SECRET_KEY": SECRET,
        }
        options = [
            "--preload",
            "--workers=3",
            "--threads=4",
            "--timeout=60",
            "--graceful-timeout=5",
            f"--bind=127.0.0.1:{port}",
        ]
        command = [sys.executable, "-m", "gunicorn", *options, app]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=self._log, stderr=self._log, start_new_session=True
        )

    def __enter__(self) -> Gunicorn:
        wait_until(lambda: self.login("ASD000001") is not None, 60, "gunicorn to serve", Path(self._log.name))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        self._log.close()

    def login(self, aegisspeed_id: str) -> str | None:
        """Sign a demo user in; return the token, or ``None`` where nobody answers."""
        body = {"user_AegisSpeed_id": aegisspeed_id, "password": "demo"}
        try:
            with closing(Client(self.port)) as client:
                return client.post("/login", body, "").get("access_token")
        except (OSError, http.client.HTTPException):
            return None

    def kill_worker(self) -> None:
        """Kill -9 one of the workers; gunicorn starts another."""
        workers = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        os.kill(int(random.choice(workers)), signal.SIGKILL)


class Client:
    """One connection, made anew after each failure."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=40)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._connection.close()

    def post(self, path: str, body: dict[str, str], token: str) -> dict[str, str]:
        """Post JSON and return what came back; for what is no JSON, its status and type as ``code``."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        self._connection.request("POST", path, json.dumps(body), headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.headers.get_content_type() != "application/json":
            return {"code": f"{answer.status} {answer.headers.get_content_type()}"}
        parsed: dict[str, str] = json.loads(content)
        return parsed

    def register(self, user: int, code: str, token: str) -> Operation:
        """Register a machine and record what came of it."""
        facts = dict.fromkeys(MACHINE_FIELDS, "x")
        began = time.monotonic()
        try:
            document = {**facts, "user_AegisSpeed_id": f"ASD00000{user}", "machine_code": code}
            outcome = self.post(REGISTER_PATH, document, token)["code"]
        except (OSError, http.client.HTTPException):
            self.close()
            outcome = UNANSWERED
            time.sleep(0.05)
        return Operation(user, code, began, time.monotonic(), outcome)
