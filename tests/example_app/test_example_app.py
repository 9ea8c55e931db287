"""The example app: what a first start makes, signing in, registering, the page and the hint."""

from __future__ import annotations

import html
import json
import logging
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import takewhile
from pathlib import Path
from unittest import mock

import click
import flask_migrate
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from flask.cli import routes_command, run_command
from flask.testing import FlaskClient
from flask_jwt_extended import decode_token
from sqlalchemy import inspect
from sqlalchemy.pool import QueuePool
from werkzeug.security import check_password_hash
from werkzeug.test import TestResponse

import example_app
from example_app import create_app, demo, login, page
from example_app.models import User, db

CHECKOUT = Path(example_app.__file__).parents[1]
MIGRATIONS = CHECKOUT / "example_app" / "migrations"
QUIET = {"FLASK_SQLALCHEMY_TRACK_MODIFICATIONS": "false"}  # Flask-SQLAlchemy 2.5 warns unless it is set
LOGIN = {"user_AegisSpeed_id": "ASD000001", "password": "demo"}
REGISTER = "/machine/register/register_machine_info_by_aegisspeed_id"


class Apps:
    """Makes apps on one instance folder, and closes their connections at the end of a test."""

    def __init__(self, instance: Path) -> None:
        self.instance = instance
        self.key_file = instance / "jwt_secret_key"
        self.made: list[Flask] = []

    def start(self, **config: object) -> Flask:
        """Start the example app as a new process would."""
        app = create_app({"TESTING": True, **config}, instance_path=str(self.instance))
        self.made.append(app)
        return app

    def close(self) -> None:
        """Close every connection that the apps left open."""
        for app in self.made:
            with app.app_context():
                db.engine.dispose()


@pytest.fixture(autouse=True)
def _clean_environment() -> Iterator[None]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FLASK_", "WERKZEUG_"))}
    with mock.patch.dict(os.environ, kept, clear=True):
        yield


@pytest.fixture
def apps(tmp_path: Path) -> Iterator[Apps]:
    """Give a maker of apps whose instance folder does not exist yet."""
    maker = Apps(tmp_path / "made" / "instance")
    yield maker
    maker.close()


@pytest.fixture
def app(apps: Apps) -> Flask:
    """Give a freshly made app to pytest-flask."""
    return apps.start()


def users_of(app: Flask) -> dict[str, tuple[str, str]]:
    """Return the stored ID number and password hash of each user."""
    with app.app_context():
        return {
            user.aegisspeed_id: (user.id_number, user.password_hash)
            for user in db.session.scalars(db.select(User))
        }


def bearer(client: FlaskClient, aegisspeed_id: str) -> dict[str, str]:
    """Sign in and return the header that says so."""
    answer = client.post("/login", json={**LOGIN, "user_AegisSpeed_id": aegisspeed_id})
    return {"Authorization": f"Bearer {answer.json['access_token']}"}


def register(client: FlaskClient, aegisspeed_id: str) -> TestResponse:
    """Sign in and send the request example on that user's behalf."""
    body = {**demo.REQUEST_EXAMPLE, "user_AegisSpeed_id": aegisspeed_id}
    return client.post(REGISTER, json=body, headers=bearer(client, aegisspeed_id))


class TestFirstRun:
    """What a start makes, and what it leaves alone."""

    def test_makes_folder_key_and_users(self, apps: Apps) -> None:
        """The first start makes a private folder, a private random key of 32 bytes, and two users."""
        app = apps.start()
        assert stat.S_IMODE(apps.instance.stat().st_mode) == 0o700
        assert stat.S_IMODE(apps.key_file.stat().st_mode) == 0o600
        assert len(bytes.fromhex(apps.key_file.read_text())) == 32
        assert app.config["JWT_SECRET_KEY"] == apps.key_file.read_text()
        users = users_of(app)
        assert users.keys() == {"ASD000001", "ASD000002"}
        assert users["ASD000001"][0] == "110101199003071234"
        assert len(users["ASD000002"][0]) == 18
        assert all(check_password_hash(stored, "demo") for _, stored in users.values())
        assert (apps.instance / "example.db").exists()

    def test_second_run_keeps_everything(self, apps: Apps) -> None:
        """A second start keeps the key and the users, and does not bring back a user who was removed."""
        first = apps.start()
        with first.app_context():
            db.session.delete(db.session.scalar(db.select(User).filter_by(aegisspeed_id="ASD000002")))
            db.session.commit()
        second = apps.start()
        assert second.config["JWT_SECRET_KEY"] == first.config["JWT_SECRET_KEY"]
        assert users_of(second) == users_of(first)
        assert users_of(second).keys() == {"ASD000001"}

    def test_two_folders_have_two_keys(self, apps: Apps, tmp_path: Path) -> None:
        """The key is made at random: another instance folder has another."""
        other = Apps(tmp_path / "other")
        keys = {apps.start().config["JWT_SECRET_KEY"], other.start().config["JWT_SECRET_KEY"]}
        other.close()
        assert len(keys) == 2

    def test_interrupted_start_is_made_good(self, apps: Apps) -> None:
        """A start that was killed after it made the file and before it wrote the key leaves no empty key."""
        apps.instance.mkdir(parents=True)
        apps.key_file.touch(mode=0o600)
        assert len(apps.start().config["JWT_SECRET_KEY"]) == 64

    def test_key_file_of_the_host(self, apps: Apps) -> None:
        """A key that somebody put into the file, with an editor's line end, is the one that signs."""
        apps.instance.mkdir(parents=True)
        apps.key_file.write_text("chosen by the host, not by the app\n")
        assert apps.start().config["JWT_SECRET_KEY"] == "chosen by the host, not by the app"

    @pytest.mark.parametrize("key", ["a key from the environment, long", "12345678901234567890123456789012"])
    def test_key_of_the_environment(self, apps: Apps, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
        """A key from the environment wins, stays the string it is, and no file is written."""
        monkeypatch.setenv("FLASK_JWT_SECRET_KEY", key)
        assert apps.start().config["JWT_SECRET_KEY"] == key
        assert not apps.key_file.exists()

    def test_empty_key_of_the_environment(self, apps: Apps, monkeypatch: pytest.MonkeyPatch) -> None:
        """A variable that is set to nothing signs no tokens: a key is made."""
        monkeypatch.setenv("FLASK_JWT_SECRET_KEY", "")
        assert apps.start().config["JWT_SECRET_KEY"] == apps.key_file.read_text()

    def test_argument_wins_over_environment(self, apps: Apps, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is passed to the factory wins over the environment."""
        monkeypatch.setenv("FLASK_JWT_SECRET_KEY", "a key from the environment, long")
        key = "a key from the argument, as long"
        assert apps.start(JWT_SECRET_KEY=key).config["JWT_SECRET_KEY"] == key

    def test_settings_of_the_environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Folder, database and the endpoint's switch are read from the environment."""
        monkeypatch.setenv("FLASK_INSTANCE_PATH", str(tmp_path / "instance"))
        monkeypatch.setenv("FLASK_SQLALCHEMY_DATABASE_URI", f"sqlite:///{tmp_path / 'elsewhere.db'}")
        monkeypatch.setenv("FLASK_AEGIS_MACHINES_REGISTER_OPEN", "false")
        app = create_app()
        assert app.instance_path == str(tmp_path / "instance")
        assert (tmp_path / "elsewhere.db").exists()
        assert not (tmp_path / "instance" / "example.db").exists()
        answer = register(app.test_client(), "ASD000001")
        assert (answer.status_code, answer.json["code"]) == (403, "10001")
        with app.app_context():
            db.engine.dispose()

    def test_relative_folder_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A relative instance folder stops the start with the reason."""
        monkeypatch.setenv("FLASK_INSTANCE_PATH", "instance")
        with pytest.raises(ValueError, match="must be absolute"):
            create_app()

    def test_no_connection_is_left_for_a_fork(self, apps: Apps) -> None:
        """After the start no connection is open that forked workers would share."""
        with apps.start(SQLALCHEMY_ENGINE_OPTIONS={"poolclass": QueuePool}).app_context():
            assert db.engine.pool.checkedin() + db.engine.pool.checkedout() == 0

    def test_database_in_memory(self, apps: Apps) -> None:
        """A database in memory, as tests use it, still has its tables and users after the start."""
        app = apps.start(SQLALCHEMY_DATABASE_URI="sqlite://")
        assert register(app.test_client(), "ASD000001").status_code == 200

    @pytest.mark.clusters
    def test_six_starts_at_once(self, apps: Apps) -> None:
        """Six processes that start together without an instance folder agree on one key and on two users."""
        program = (
            "import sys; from example_app import create_app; from example_app.models import User, db\n"
            "print('ready', flush=True); sys.stdin.readline(); app = create_app()\n"
            "with app.app_context():\n"
            "    users = db.session.scalars(db.select(User.aegisspeed_id).order_by(User.id)).all()\n"
            "print(app.config['JWT_SECRET_KEY'], *users)\n"
        )
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", program],
                cwd=CHECKOUT,
                env={**os.environ, "FLASK_INSTANCE_PATH": str(apps.instance), **QUIET},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for _ in range(6)
        ]
        assert [worker.stdout.readline() for worker in workers] == ["ready\n"] * 6
        for worker in workers:
            worker.stdin.write("go\n")
            worker.stdin.flush()
        answers = [worker.communicate()[0] for worker in workers]
        assert answers == [f"{apps.key_file.read_text()} ASD000001 ASD000002\n"] * 6
        assert [worker.returncode for worker in workers] == [0] * 6


class TestMigrations:
    """The tables, as Flask-Migrate makes them."""

    def test_they_make_what_the_models_say(self, app: Flask) -> None:
        """After a start there is nothing left to generate, and one key decides who owns a code."""
        with app.app_context():
            migrations = autogenerate()
            keys = inspect(db.engine).get_indexes("machine")
        assert migrations == []
        assert [key["column_names"] for key in keys if key["unique"]] == [["machine_code"]]

    def test_a_host_with_users_generates_the_table_of_machines(self, apps: Apps, tmp_path: Path) -> None:
        """From the state before machines, one generated migration makes the table that is shipped."""
        app = apps.start()
        folder = tmp_path / "migrations"
        shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("0002_*", "__pycache__"))
        with app.app_context():
            shipped = columns_and_keys()
            flask_migrate.downgrade(revision="0001")
            assert not inspect(db.engine).has_table("machine")
            flask_migrate.migrate(directory=str(folder))
            flask_migrate.upgrade(directory=str(folder))
            assert columns_and_keys() == shipped

    def test_they_can_be_read_before_they_are_applied(
        self, app: Flask, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """``flask db upgrade --sql`` prints what a database's owner wants to see first."""
        with app.app_context():
            flask_migrate.upgrade(sql=True)
        assert "CREATE UNIQUE INDEX ix_machine_machine_code" in capsys.readouterr().out

    def test_they_can_be_taken_back(self, app: Flask) -> None:
        """Down to the beginning nothing is left, and up again everything is there."""
        with app.app_context():
            flask_migrate.downgrade(revision="base")
            assert inspect(db.engine).get_table_names() == ["alembic_version"]
            flask_migrate.upgrade()
            assert autogenerate() == []

    def test_they_silence_no_logger(self, app: Flask) -> None:
        """A start leaves every logger that exists as it was."""
        assert not logging.getLogger("flask_aegis_machines").disabled


def autogenerate() -> list[object]:
    """Return the changes that would make the database what the models say."""
    with db.engine.connect() as connection:
        changes: list[object] = compare_metadata(MigrationContext.configure(connection), db.metadata)
    return changes


def columns_and_keys() -> tuple[dict[str, tuple[str, bool]], dict[str | None, list[str | None]]]:
    """Return what the table of machines consists of."""
    found = inspect(db.engine)
    columns = {each["name"]: (str(each["type"]), each["nullable"]) for each in found.get_columns("machine")}
    return columns, {each["name"]: each["column_names"] for each in found.get_indexes("machine")}


class TestLogin:
    """POST /login."""

    @pytest.mark.parametrize("aegisspeed_id", ["ASD000001", "ASD000002"])
    def test_right(self, app: Flask, client: FlaskClient, aegisspeed_id: str) -> None:
        """The right password is answered with a token for that user, and with nothing else."""
        answer = client.post("/login", json={**LOGIN, "user_AegisSpeed_id": aegisspeed_id})
        assert answer.status_code == 200
        assert answer.json.keys() == {"access_token"}
        user = db.session.scalar(db.select(User).filter_by(aegisspeed_id=aegisspeed_id))
        assert decode_token(answer.json["access_token"])["sub"] == str(user.id)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"password": "Demo"},
            {"password": ""},
            {"password": "demo\n"},
            {"user_AegisSpeed_id": "ASD000009"},
            {"user_AegisSpeed_id": "asd000001"},
            {"user_AegisSpeed_id": "ASD000001\n"},
            {"user_AegisSpeed_id": "ASD00000\0"},
            {"user_AegisSpeed_id": ""},
            {"user_AegisSpeed_id": "' OR 1=1 --"},
        ],
    )
    def test_wrong(self, client: FlaskClient, wrong: dict[str, str]) -> None:
        """Whatever of the two is wrong, the answer is the same 401, which does not tell which."""
        answer = client.post("/login", json={**LOGIN, **wrong})
        assert answer.status_code == 401
        assert answer.json == {"message": "Wrong AegisSpeed ID or password."}

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"not JSON",
            b"\xff\xfe",
            b"null",
            b"[]",
            b'"ASD000001"',
            b"[" * 100_000,
            b"{}",
            b'{"user_AegisSpeed_id": "ASD000001"}',
            b'{"password": "demo"}',
            b'{"user_AegisSpeed_id": 9170, "password": "demo"}',
            b'{"user_AegisSpeed_id": "ASD000001", "password": 9170}',
            b'{"user_AegisSpeed_id": "ASD000001", "password": null}',
            b'{"user_AegisSpeed_id": ["ASD000001"], "password": {"$ne": ""}}',
            b'{"user_AegisSpeed_id": "ASD00000\\ud800", "password": "demo"}',
            b'{"user_AegisSpeed_id": "ASD000001", "password": "\\ud800"}',
        ],
    )
    def test_malformed(self, client: FlaskClient, body: bytes) -> None:
        """A body that is not a JSON object with two strings is a 400 that repeats nothing of it."""
        answer = client.post("/login", data=body, content_type="application/json")
        assert answer.status_code == 400
        assert answer.json == {
            "message": "Send a JSON object with the strings user_AegisSpeed_id and password."
        }

    def test_form_is_refused(self, client: FlaskClient) -> None:
        """Credentials that are sent as a form, as a foreign page could, are not taken."""
        assert client.post("/login", data=LOGIN).status_code == 400

    def test_nobody_costs_as_much_as_somebody(
        self, app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One hash of the same cost is checked, whether or not the user exists."""
        checked: list[str] = []
        check = login.check_password_hash

        def record(stored: str, password: str) -> bool:
            checked.append(stored.split("$")[0])
            return check(stored, password)

        monkeypatch.setattr(login, "check_password_hash", record)
        for aegisspeed_id in ["ASD000001", "ASD000009", "ASD00000\0"]:
            client.post("/login", json={"user_AegisSpeed_id": aegisspeed_id, "password": "wrong"})
        stored = users_of(app)["ASD000001"][1]
        assert checked == [stored.split("$")[0]] * 3

    def test_nobodys_password_opens_nothing(
        self, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Even a password that matches the stand-in hash signs nobody in."""
        monkeypatch.setattr(login, "NOBODYS_HASH", login.generate_password_hash("found"))
        answer = client.post("/login", json={"user_AegisSpeed_id": "ASD000009", "password": "found"})
        assert answer.status_code == 401


class TestRegistration:
    """The mounted endpoint, with the host's own login before it."""

    def test_request_example(self, document: dict[str, str]) -> None:
        """The request example is the API document's, word for word."""
        assert document == demo.REQUEST_EXAMPLE

    def test_one_owner(self, client: FlaskClient) -> None:
        """The first registration gets the documented 200; a second one, by either user, gets 10004."""
        first = register(client, "ASD000001")
        assert first.status_code == 200
        assert first.json == {
            "status": 200,
            "code": "10000",
            "result": "Machine registered successfully",
            "data": {"machine_code": "abcd1234efgh5678ijkl9012mnop3456", "user_id": "110***********1234"},
        }
        for aegisspeed_id in ["ASD000001", "ASD000002"]:
            later = register(client, aegisspeed_id)
            assert later.status_code == 409
            assert later.json["code"] == "10004"

    def test_without_login(self, client: FlaskClient) -> None:
        """Nobody registers without a token."""
        answer = client.post(REGISTER, json=demo.REQUEST_EXAMPLE)
        assert (answer.status_code, answer.json["code"]) == (401, "10401")


class Elements(HTMLParser):
    """Collects the elements of a page, and what it loads or links to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.targets: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one element."""
        self.elements.append((tag, dict(attrs)))
        self.targets += [value or "" for name, value in attrs if name in {"href", "src", "srcset", "action"}]


class TestPage:
    """GET /, without a browser; what it does in one is in test_page.py."""

    def test_says_what_to_try(self, client: FlaskClient) -> None:
        """The page shows the users, their password, and the line to paste, with the visitor's address."""
        answer = client.get("/", base_url="http://demo.example:8080")
        assert answer.status_code == 200
        assert answer.mimetype == "text/html"
        for aegisspeed_id in ["ASD000001", "ASD000002"]:
            assert f">Sign in as {aegisspeed_id}</button>" in answer.text
        assert "<code>demo</code>" in answer.text
        assert demo.curl_line("http://demo.example:8080/") in html.unescape(answer.text)

    def test_has_a_field_for_each_field_of_the_request(self, client: FlaskClient) -> None:
        """The form holds the request example, in the order of the API document."""
        assert list(page.LABELS) == list(demo.REQUEST_EXAMPLE)
        text = html.unescape(client.get("/").text)
        for name, value in demo.REQUEST_EXAMPLE.items():
            assert f'name="{name}" value="{value}"' in text

    def test_every_link_leads_somewhere(self, client: FlaskClient) -> None:
        """What the page loads and links to is there, its own, and the forms go to the endpoints."""
        targets = [target for target in Elements(client.get("/").text).targets if target[0] != "#"]
        assert len(targets) == 9
        for target in targets:
            answer = client.get(target)
            # The forms' targets take a POST alone.
            assert answer.status_code == (405 if "login" in target or "_by_aegisspeed_id" in target else 200)
            answer.close()

    @pytest.mark.parametrize("path", ["/", "/api"])
    def test_works_under_a_strict_policy(self, client: FlaskClient, path: str) -> None:
        """Nothing is inline, the style sheet loads nothing, and each page's policy says so."""
        answer = client.get(path)
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'self';")
        for tag, attributes in Elements(answer.text).elements:
            assert tag != "style"
            assert tag != "script" or "src" in attributes
            assert not [name for name in attributes if name == "style" or name.startswith("on")]
        style = client.get("/static/style.css")
        assert "url(" not in style.text
        assert "@import" not in style.text
        style.close()


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
    def test_address(self, capsys: pytest.CaptureFixture[str], arguments: list[str], url: str) -> None:
        """The hint names the page, and holds one curl line, for the host and port of the command line."""
        with run_command.make_context("run", arguments).scope():
            demo.print_hint()
        lines = capsys.readouterr().out.splitlines()
        assert f"Open {url} " in "\n".join(lines)
        assert [line for line in lines if "curl" in line] == [demo.curl_line(url)]

    def test_https(self, capsys: pytest.CaptureFixture[str]) -> None:
        """With a certificate on the command line, the addresses are https."""
        context = run_command.make_context("run", [])
        context.params["cert"] = "adhoc"  # parsing it would need the cryptography package
        with context.scope():
            demo.print_hint()
        assert demo.curl_line("https://127.0.0.1:5000/") in capsys.readouterr().out.splitlines()

    def test_says_nothing_secret(self, apps: Apps, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Neither the signing key nor the address of the database is printed."""
        database = f"sqlite:///{tmp_path / 'S3cret-of-the-database'}"
        with run_command.make_context("run", []).scope():
            apps.start(SQLALCHEMY_DATABASE_URI=database, JWT_SECRET_KEY="S3cret that signs the tokens, long")
        printed = "".join(capfd.readouterr())
        assert "curl" in printed
        assert "S3cret" not in printed

    def test_once_under_the_reloader(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The process that the reloader starts anew after each change does not print the hint again."""
        monkeypatch.setenv("WERKZEUG_RUN_MAIN", "true")
        with run_command.make_context("run", []).scope():
            demo.print_hint()
        assert capsys.readouterr().out == ""

    def test_silent_elsewhere(self, apps: Apps, capfd: pytest.CaptureFixture[str]) -> None:
        """Outside `flask run`, that is under gunicorn, in tests and in other commands, nothing is printed."""
        apps.start()
        with click.Context(routes_command).scope():
            apps.start()
        assert "".join(capfd.readouterr()) == ""

    def test_line_works_as_pasted(self, apps: Apps) -> None:
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
