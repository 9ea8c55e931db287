"""The benchmarks: all candidates answer alike, a wrong one is caught, and what was measured is printed."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.servers import require_module, require_postgres

pytestmark = pytest.mark.clusters


@pytest.fixture(autouse=True)
def _installed() -> None:
    """What the candidates are made of."""
    require_postgres()
    for module in ("aiosqlite", "fastapi", "flask_smorest", "greenlet", "matplotlib", "psutil", "uvicorn"):
        require_module(module, "-e '.[bench]'")
    require_module("psycopg_pool", "-e '.[bench]'")


@pytest.fixture
def says_yes_to_all() -> Iterator[int]:
    """The port of a server that answers whatever it is asked with an empty 200."""

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


def test_a_candidate_that_answers_otherwise_is_not_measured(says_yes_to_all: int) -> None:
    """The check that comes before each measurement fails on the first answer that differs."""
    from .contract import check

    with pytest.raises(AssertionError, match="answered 200"):
        check(says_yes_to_all)


def test_all_candidates_answer_alike_and_are_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One command checks and measures six candidates on two databases, prints the results and draws them."""
    from .__main__ import main
    from .serving import CANDIDATES, OURS
    from .speed import TARGETS

    cores = os.sched_getaffinity(0)
    main(["--quick", "--chart", str(tmp_path / "chart.svg")])
    printed = capsys.readouterr().out
    for name in CANDIDATES:
        assert printed.count(f"\n{name:14} ") == 2
    assert printed.count("reached") == len(OURS) * len(TARGETS)
    assert (tmp_path / "chart.svg").read_text().count(">library<") == 2 * 4
    assert os.sched_getaffinity(0) == cores


def test_growth_counts_the_statements_of_a_request(capsys: pytest.CaptureFixture[str]) -> None:
    """A registration is two statements, a later page of the list three, and the worker's memory is told."""
    from .__main__ import main

    main(["growth", "--quick"])
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("      1000 ")]
    assert [statements for *_, statements in rows] == ["2.00", "3.00"]


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
    """Less processor time and more requests per second are better; one round alone decides nothing."""
    from .speed import Result, Target, medians

    library, floor = Result(200, 1, 1, 1), Result(100, 1, 1, 2)
    rounds = [{"library": library, "floor": floor}] * 2 + [{"library": floor, "floor": library}]
    assert Target(measure, "floor", limit).line(medians(rounds), "library").endswith(verdict)
