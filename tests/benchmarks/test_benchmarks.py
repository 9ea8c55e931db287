"""The benchmarks: all candidates answer alike, a wrong one is caught, and what was measured is printed."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.servers import require_mariadb, require_module, require_postgres

pytestmark = pytest.mark.clusters


@pytest.fixture(autouse=True)
def _installed() -> None:
    """What the candidates are made of."""
    require_postgres()
    require_mariadb()
    for module in (
        "aiosqlite",
        "asyncmy",
        "fastapi",
        "flask_smorest",
        "greenlet",
        "matplotlib",
        "psutil",
        "uvicorn",
    ):
        require_module(module, "-e '.[bench]'")
    require_module("psycopg_pool", "-e '.[bench]'")


@pytest.fixture
def incomplete_answers() -> Iterator[int]:
    """The port of a server that answers every request with 200 and 10000, but without data."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"status": 200, "code": "10000", "result": "", "data": {}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_candidate_that_answers_otherwise_is_not_measured(incomplete_answers: int) -> None:
    """The check that comes before each measurement fails on the first answer that differs."""
    from .contract import check

    with pytest.raises(AssertionError, match="answered 200"):
        check(incomplete_answers)


def test_all_candidates_answer_alike_and_are_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One command checks and measures every candidate on a database, prints the results and draws them."""
    from .__main__ import main
    from .serving import CANDIDATES, RELEASE, ROOT
    from .speed import TARGETS

    cores = os.sched_getaffinity(0)
    chart = tmp_path / "chart.svg"
    main(["--quick", "--database=PostgreSQL", f"--chart={chart}", f"--release={ROOT}"])
    printed = capsys.readouterr().out
    for name in (*CANDIDATES, RELEASE):
        assert printed.count(f"\n{name:26}") == 2
    assert printed.count("reached") == sum(map(len, TARGETS.values()))
    assert chart.read_text().count(">library<") == 4
    assert os.sched_getaffinity(0) == cores


def test_growth_counts_the_statements_of_a_request(capsys: pytest.CaptureFixture[str]) -> None:
    """With BEGIN, and COMMIT or ROLLBACK, a registration is four, a check four, a later page seven."""
    from .__main__ import main

    main(["growth", "--quick"])
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("      1000 ")]
    assert [statements for *_, statements in rows] == ["4.00", "4.00", "7.00"]


def test_latency_counts_round_trips(capsys: pytest.CaptureFixture[str]) -> None:
    """A registration takes four round trips and a refusal five; in autocommit two and three."""
    from .__main__ import main

    main(["latency", "--quick", "--database=PostgreSQL"])
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("library")]
    assert [row[:3] for row in rows] == [
        ["library", "4.0", "5.0"],
        ["library_autocommit", "2.0", "3.0"],
    ]


def test_an_import_is_measured_on_each_database(capsys: pytest.CaptureFixture[str]) -> None:
    """The rate of each tenth of the file is printed, and no machine is missing."""
    from .__main__ import main

    main(["import", "--quick"])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert {row[0]: len(row) for row in rows if len(row) == 12}.keys() == {"PostgreSQL", "MariaDB", "SQLite"}


def test_a_saturated_worker_recovers(capsys: pytest.CaptureFixture[str]) -> None:
    """Each rate is printed with all its outcomes, and after each a request is answered quickly again."""
    from .__main__ import main
    from .saturation import LOADS

    main(["saturation", "--quick", "--candidate=library"])
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line[:1] == " "][1:]
    assert len(rows) == len(LOADS)
    for _, _, sent, bound, failed, unanswered, _, _, _, recovery in rows:
        assert int(sent) == int(bound) + int(failed) + int(unanswered)
        assert int(bound) > 0
        assert 0 <= float(recovery) < 20  # a hundred probes of which none is quick take 25 s


@pytest.mark.parametrize(
    ("measure", "limit", "verdict"),
    [
        ("cpu_ms", 0.5, ": reached"),
        ("cpu_ms", 0.4, "not reached"),
        ("per_second", 2, ": reached"),
        ("per_second", 3, "not reached"),
    ],
)
def test_a_target_is_reached_by_the_median_of_the_rounds(measure: str, limit: float, verdict: str) -> None:
    """Less processor time and more requests per second are better; one round decides nothing."""
    from .speed import Result, Target, medians

    library, floor = Result(200, 1, 1, 1, 1), Result(100, 1, 1, 2, 2)
    rounds = [{"library": library, "floor": floor}] * 2 + [{"library": floor, "floor": library}]
    assert Target(measure, "floor", limit).line(medians(rounds), "library").endswith(verdict)
