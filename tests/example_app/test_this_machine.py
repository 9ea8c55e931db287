"""The program that binds the computer it runs on: what it asks, prints and returns."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask, jsonify, request

from example_app import demo, this_machine
from example_app.models import Machine, User, db
from flask_aegis_machines import openapi
from tests.support.example import CHECKOUT
from tests.support.serving import served

CODE = "cd44661fa6f947726b130341c162919e"
Run = Callable[..., Result]

BOUND, FAILED, YOURS, ANOTHERS = 0, 1, 3, 4
READY = ("--password", "demo", "--yes")
FIELDS = [name for name in demo.REQUEST_EXAMPLE if name != "user_AegisSpeed_id"]
FACTS = dict.fromkeys(FIELDS, "a fact") | {"machine_code": CODE}


def registration_answers() -> list[dict[str, Any]]:
    """Return the answers of a registration that the OpenAPI document has, without their data."""
    document = openapi.document()
    responses = document["paths"][demo.REGISTER_PATH]["post"]["responses"].values()
    schemas = [response["content"]["application/json"]["schema"] for response in responses]
    references = [each["$ref"] for schema in schemas for each in schema.get("oneOf", [schema])]
    properties = [
        document["components"]["schemas"][each.rpartition("/")[2]]["properties"] for each in references
    ]
    return [{name: each[name]["const"] for name in ("status", "code", "result")} for each in properties]


ANSWERS = registration_answers()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the program with fixed facts, by default without prompts."""
    monkeypatch.setattr(this_machine, "collect", lambda: dict(FACTS))

    def run(url: str, *options: str, **how: Any) -> Result:
        return CliRunner().invoke(this_machine.main, ["--url", url, *(options or READY)], **how)

    return run


class TestAgainstTheExample:
    """The program and the example app, over HTTP."""

    def test_machine_is_bound_once(self, run: Run, example: Flask) -> None:
        """The first run binds; the next one of the owner finds it theirs, another user's that it is taken."""
        with served(example) as url:
            first = run(url)
            second = run(url)
            other = run(url, "--user", "ASD000002", *READY)
        assert f"machine_code               {CODE}\n" in first.output
        assert "200 10000 Machine registered successfully\nThis machine is bound to your" in first.output
        assert first.exit_code == BOUND
        assert "409 10004 Machine code already registered\n" in second.output
        assert "It is yours: you bound it before." in second.output
        assert second.exit_code == YOURS
        assert "409 10004 Machine code already registered\n" in other.output
        assert "Another account has this code: an image or a clone of this machine" in other.output
        assert other.exit_code == ANOTHERS
        with example.app_context():
            owners = db.session.execute(
                db.select(User.aegisspeed_id, Machine.machine_code, Machine.machine_cpu).join(
                    Machine, Machine.user_id == User.id
                )
            )
            assert owners.all() == [("ASD000001", CODE, "a fact")]

    @pytest.mark.parametrize("answer", ["n\n", "\n", ""])
    def test_nothing_is_bound_without_a_yes(self, run: Run, example: Flask, answer: str) -> None:
        """The program asks before it binds, and anything but a yes leaves the machine unbound."""
        with served(example) as url:
            result = run(url, "--password", "demo", input=answer)
        assert "Bind this computer to ASD000001? No call can undo it. [y/N]" in result.output
        assert result.exit_code == FAILED
        with example.app_context():
            assert db.session.scalar(db.select(Machine.id)) is None

    def test_yes_at_the_prompt_binds(self, run: Run, example: Flask) -> None:
        """Password and confirmation are prompted for, and the password is not echoed."""
        with served(example) as url:
            result = run(url, "--user", "ASD000002", input="demo\ny\n")
        assert (result.exit_code, "demo" in result.output) == (BOUND, False)

    def test_wrong_password_binds_nothing(self, run: Run, example: Flask) -> None:
        """The message of the login is printed, before anything is asked."""
        with served(example) as url:
            result = run(url, "--password", "wrong")
        assert "Error: Wrong AegisSpeed ID or password." in result.output
        assert (result.exit_code, "[y/N]" in result.output) == (FAILED, False)

    def test_list_is_read_to_its_end(self, example: Flask) -> None:
        """A machine is looked for on every page of the list."""
        with served(example) as url:
            token = this_machine._sign_in(url, "ASD000001", "demo")
            for number in range(102):
                body = {**FACTS, "user_AegisSpeed_id": "ASD000001", "machine_code": f"{number:032}"}
                this_machine._post(url, demo.REGISTER_PATH, body, token)
            assert this_machine._look_for_machine(url, "ASD000001", token, f"{101:032}")
            assert not this_machine._look_for_machine(url, "ASD000001", token, f"{102:032}")


class TestAnswers:
    """Answers that the example does not give on demand."""

    @staticmethod
    def host(status: int, body: object) -> Flask:
        """Return an app that signs everybody in, and gives one answer to every registration."""
        app = Flask("host")
        app.add_url_rule("/login", "login", lambda: jsonify(access_token="t"), methods=["POST"])
        app.add_url_rule(
            demo.REGISTER_PATH,
            "register",
            lambda: (jsonify(body) if body is not None else "oops", status),
            methods=["POST"],
        )
        return app

    def test_every_code_has_a_meaning(self) -> None:
        """Every code of an answer of the registration has a sentence."""
        assert this_machine.MEANINGS.keys() == {answer["code"] for answer in ANSWERS}

    @pytest.mark.parametrize("answer", [answer for answer in ANSWERS if answer["status"] not in {200, 409}])
    def test_refusal_is_explained(self, run: Run, answer: dict[str, Any]) -> None:
        """A refusal is printed with its meaning, and the program fails."""
        with served(self.host(answer["status"], answer)) as url:
            result = run(url)
        assert f"{answer['status']} {answer['code']} {answer['result']}\n" in result.output
        assert this_machine.MEANINGS[answer["code"]] in result.output
        assert result.exit_code == 1

    def test_refused_fields_are_named(self, run: Run) -> None:
        """Each refused field is named, with the reason."""
        data = {"errors": {"machine_cpu": ["is too long", "is odd"]}}
        envelope = {"status": 400, "code": "10400", "result": "Invalid request", "data": data}
        with served(self.host(400, envelope)) as url:
            assert "- machine_cpu: is too long; is odd\n" in run(url).output

    def test_unknown_code_is_no_success(self, run: Run) -> None:
        """An unknown code is printed, and the program fails."""
        with served(self.host(200, {"status": 200, "code": "10999", "result": "New", "data": {}})) as url:
            result = run(url)
        assert "200 10999 New\nThis program does not know that code.\n" in result.output
        assert result.exit_code == 1

    def test_unreadable_list_leaves_the_owner_open(self, run: Run) -> None:
        """If the list cannot be read, the program does not say whose the machine is."""
        app = self.host(409, {"status": 409, "code": "10004", "result": "Taken", "data": {}})
        closed = {"status": 403, "code": "10001", "result": "Closed", "data": {}}
        app.add_url_rule(this_machine.GET_PATH, "get", lambda: (jsonify(closed), 403), methods=["POST"])
        with served(app) as url:
            result = run(url)
        assert (result.exit_code, "cannot say whether it is yours" in result.output) == (FAILED, True)

    @pytest.mark.parametrize("data", [None, [], "text"])
    def test_unknown_data_is_passed_over(self, run: Run, data: object) -> None:
        """Data of another type than documented does not stop the program."""
        with served(self.host(400, {"status": 400, "code": "10400", "result": "R", "data": data})) as url:
            assert run(url).exit_code == FAILED

    @pytest.mark.parametrize("body", [None, ["a list"]])
    def test_lost_answer_leaves_the_outcome_open(self, run: Run, body: object) -> None:
        """If the response of a registration is no answer, the program says that the outcome is unknown."""
        with served(self.host(502, body)) as url:
            result = run(url)
        assert result.exit_code == 1
        assert "is not a JSON object" in result.output
        assert "The machine may be bound or not. Run this program again" in result.output

    def test_url_prefix_and_token_are_used(self, run: Run) -> None:
        """The path of the URL is a prefix, and the token is sent with the registration only."""
        sent: list[tuple[str, str | None]] = []
        app = Flask("host")

        @app.post("/<path:path>")
        def answer(path: str) -> Any:
            sent.append((path, request.headers.get("Authorization")))
            return jsonify(access_token="t", code="10000")

        with served(app) as url:
            assert run(f"{url}folder/").exit_code == 0
        assert sent == [("folder/login", None), (f"folder{demo.REGISTER_PATH}", "Bearer t")]

    def test_refused_sign_in_ends_the_program(self, run: Run) -> None:
        """If the login refuses without a message, the program ends."""
        app = Flask("host")
        app.add_url_rule("/login", "login", lambda: (jsonify(detail="no"), 403), methods=["POST"])
        with served(app) as url:
            result = run(url)
        assert (result.exit_code, "Error: The server refused the sign-in.\n" in result.output) == (1, True)

    def test_unreachable_server_is_named(self, run: Run) -> None:
        """If nobody listens, the message has the URL and the reason."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        result = run(url)
        assert result.exit_code == 1
        assert f"Error: The server at {url} cannot be reached (" in result.output

    @pytest.mark.parametrize(
        "url", ["127.0.0.1:5000", "localhost:5000", "file:///etc/passwd", "http://[", ""]
    )
    def test_value_that_is_no_url_is_refused(self, run: Run, url: str) -> None:
        """A URL of another kind is refused, with an example of a right one."""
        result = run(url)
        assert (result.exit_code, "Use one like http://127.0.0.1:5000" in result.output) == (1, True)


def test_computer_without_a_code_is_refused_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the computer has no code, the program says so before it asks for a password."""

    def collect() -> dict[str, str]:
        raise LookupError("This system has no ID.")

    monkeypatch.setattr(this_machine, "collect", collect)
    result = CliRunner().invoke(this_machine.main)
    assert (result.exit_code, result.output) == (FAILED, "Error: This system has no ID.\n")


def test_facts_are_printed_in_any_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A character that the terminal cannot show is printed as a question mark; no fact as a dash."""
    monkeypatch.setattr(
        this_machine, "collect", lambda: {"machine_cpu": "Ryzen\u2122 7", "machine_motherboard": ""}
    )
    result = CliRunner(charset="ascii").invoke(this_machine.main, ["--url", "no URL", "--password", "demo"])
    assert "machine_cpu                Ryzen? 7\nmachine_motherboard        -\n" in result.output


def test_help_documents_the_exit_statuses() -> None:
    """`python -m example_app.this_machine --help` lists what each exit status means."""
    command = [sys.executable, "-m", "example_app.this_machine", "--help"]
    environment = {**os.environ, "COLUMNS": "100"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=CHECKOUT, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Show what this computer is, and bind it" in done.stdout
    assert "hardware UUID of a Mac" in " ".join(done.stdout.split())
    for line in [
        "3  not bound now, since it is yours already",
        "4  not bound, since another account has the",
    ]:
        assert line in done.stdout
    assert (this_machine.ALREADY_YOURS, this_machine.ANOTHERS) == (YOURS, ANOTHERS)
