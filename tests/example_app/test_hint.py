"""What `flask run` prints."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import click
import pytest
from flask.cli import routes_command, run_command

from example_app import demo
from tests.support.example import CHECKOUT, Apps


class TestHint:
    """What `flask run` prints."""

    @pytest.mark.parametrize(
        ("arguments", "url"),
        [
            ([], "http://127.0.0.1:5000/"),
            (["--host", "localhost", "--port", "8080"], "http://localhost:8080/"),
            (["--host", "0.0.0.0"], "http://127.0.0.1:5000/"),
            (["--host", "::"], "http://[::1]:5000/"),
        ],
    )
    def test_hint_names_the_url_of_the_server(
        self, capsys: pytest.CaptureFixture[str], arguments: list[str], url: str
    ) -> None:
        """The hint has the URL of the page and one curl line, for the host and port of the command line."""
        with run_command.make_context("run", arguments).scope():
            demo.print_hint()
        lines = capsys.readouterr().out.splitlines()
        assert f"Open {url} " in "\n".join(lines)
        assert [line for line in lines if "curl" in line] == [demo.curl_line(url)]

    def test_certificate_makes_the_url_https(self, capsys: pytest.CaptureFixture[str]) -> None:
        """With a certificate on the command line, the URLs are https."""
        context = run_command.make_context("run", [])
        context.params["cert"] = "adhoc"  # parsing it would need the cryptography package
        with context.scope():
            demo.print_hint()
        assert demo.curl_line("https://127.0.0.1:5000/") in capsys.readouterr().out.splitlines()

    def test_hint_holds_no_secret(
        self, apps: Apps, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Neither the signing key nor the URL of the database is printed."""
        database = f"sqlite:///{tmp_path / 'S3cret-of-the-database'}"
        key = "S3cret that signs the tokens, long"
        with run_command.make_context("run", []).scope():
            apps.start(SQLALCHEMY_DATABASE_URI=database, JWT_SECRET_KEY=key, DEMO_USERS=True)
        printed = "".join(capfd.readouterr())
        assert "curl" in printed
        assert "S3cret" not in printed

    def test_app_without_demo_users_prints_no_hint(
        self, apps: Apps, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Without the demo users, the line of the hint would be refused: it is not printed."""
        with run_command.make_context("run", []).scope():
            apps.start(DEMO_USERS=False)
        assert "".join(capfd.readouterr()) == ""

    def test_reloader_prints_the_hint_once(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The process that the reloader starts after each change does not print the hint again."""
        monkeypatch.setenv("WERKZEUG_RUN_MAIN", "true")
        with run_command.make_context("run", []).scope():
            demo.print_hint()
        assert capsys.readouterr().out == ""

    def test_other_commands_print_nothing(self, apps: Apps, capfd: pytest.CaptureFixture[str]) -> None:
        """Under gunicorn, in tests and in commands other than `flask run`, nothing is printed."""
        apps.start()
        with click.Context(routes_command).scope():
            apps.start()
        assert "".join(capfd.readouterr()) == ""

    def test_line_runs_as_pasted(self, apps: Apps) -> None:
        """`flask run` in a checkout prints a line that bash runs as it is, and that registers the machine."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
        with subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "example_app", "run", "--port", port],
            cwd=CHECKOUT,
            env={**os.environ, "FLASK_INSTANCE_PATH": str(apps.instance)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as server:
            try:
                printed = takewhile(lambda line: "Running on" not in line, server.stdout)
                (pasted,) = [line for line in printed if "curl" in line]
                runs = [
                    subprocess.run(["bash"], input=pasted, capture_output=True, text=True) for _ in range(2)
                ]
            finally:
                server.terminate()
        assert [run.stderr for run in runs] == ["", ""]
        answers = [json.loads(run.stdout) for run in runs]
        assert [answer["code"] for answer in answers] == ["10000", "10004"]
        assert answers[0]["data"]["user_id"] == "110***********1234"
