"""Workers that are forked after the engine was used: they inherit connections of their parent."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults.app import DATABASE_VARIABLE, FOLDER_VARIABLE
from tests.faults.history import violations
from tests.faults.load import Load
from tests.faults.serving import Gunicorn, bound
from tests.servers import (
    MariaDBServer,
    PostgresServer,
    Uwsgi,
    WebServer,
    require_driver,
    require_module,
    require_web_server,
    wait_until,
)
from tests.servers.web import ROOT

pytestmark = pytest.mark.clusters  # for its time

DRIVERS = ["psycopg", "psycopg2", "pymysql", "mysqldb"]
APP = "tests.faults.app:create_reading_app()"
SECONDS = 3

# Both users ask for the same codes.
SEND_TASKS = """
from tests.servers.apps.tasks import bind

for first in range(0, 400, 10):
    codes = [f"{'task':-<16}{first + number:016}" for number in range(10)]
    for user in (1, 2):
        bind.delay(user, codes)
"""


class CeleryWorkers(WebServer):
    """Celery with four workers, which it forks after it has imported the tasks."""

    def _command(self) -> Sequence[str | Path]:
        options = ["worker", "--pool=prefork", "--concurrency=4", "--loglevel=WARNING"]
        return [sys.executable, "-m", "celery", f"--app={self._app}", *options]

    def ready(self) -> bool:
        """Return whether it takes tasks; it listens on no port."""
        return True


@pytest.fixture
def database(request: pytest.FixtureRequest, driver: str) -> str:
    """The URL of an empty database."""
    require_driver(driver)
    server = request.getfixturevalue("postgres" if driver.startswith("psycopg") else "mariadb")
    assert isinstance(server, PostgresServer | MariaDBServer)
    server.execute("DROP DATABASE IF EXISTS forks")
    server.create_database("forks")
    return server.url(driver, "forks")


def read(file: Path) -> dict[str, str]:
    """Read the outcomes of a task by code."""
    outcomes: dict[str, str] = json.loads(file.read_text())
    return outcomes


def assert_serves_rivals(server: WebServer, database: str) -> None:
    """Assert that two users who contend get a right answer each time, and never a failure."""
    with server:
        load = Load([server])
        time.sleep(SECONDS)
        history = load.finish()
    assert Counter(each.outcome for each in history).keys() == {"10000", "10004"}
    assert violations(history, bound(database), []) == []


@pytest.mark.parametrize("driver", DRIVERS)
class TestForkedWorkers:
    """Processes that load the app or the stores, and make the tables, before they fork their workers."""

    def test_gunicorn_preloads_the_app(self, database: str) -> None:
        """No worker reads a reply that is for another, in the authentication neither."""
        assert_serves_rivals(Gunicorn(database, APP), database)

    def test_uwsgi_loads_the_app_once(self, database: str) -> None:
        """The same without Python's hooks at a fork, which uWSGI does not call."""
        require_web_server("uwsgi")
        options = ["--processes=3", "--threads=2", "--enable-threads"]
        assert_serves_rivals(Uwsgi(APP, *options, environment={DATABASE_VARIABLE: database}), database)

    def test_celery_workers_call_the_stores(self, database: str, tmp_path: Path) -> None:
        """Each code is bound for one of the two users, and refused to the other."""
        require_module("celery", "celery")
        for folder in ("queue", "control", "results"):
            (tmp_path / folder).mkdir()
        environment = {DATABASE_VARIABLE: database, FOLDER_VARIABLE: str(tmp_path)}
        results = tmp_path / "results"
        workers = CeleryWorkers("tests.servers.apps.tasks", environment=environment)
        # Before the workers are there: the queue is a folder, in which they could read half a task.
        sender = [sys.executable, "-c", SEND_TASKS]
        subprocess.run(sender, env=workers.environment, cwd=ROOT, check=True, timeout=60)
        with workers:
            wait_until(lambda: len(list(results.iterdir())) == 80, 120, "all tasks", workers.log)
        first, second = (
            {code: outcome for file in results.glob(f"{user}-*") for code, outcome in read(file).items()}
            for user in (1, 2)
        )
        assert len(first) == 400
        for code, outcome in first.items():
            assert {outcome, second[code]} == {"10000", "10004"}
        owners = {code: 1 if outcome == "10000" else 2 for code, outcome in first.items()}
        assert dict(bound(database)) == owners
