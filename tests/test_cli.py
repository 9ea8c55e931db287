"""The blueprint's own group of ``flask`` commands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest
from click.testing import Result
from flask import Blueprint, Flask, request
from flask_jwt_extended import JWTManager

import example_app
from flask_aegis_machines import (
    Machine,
    MachineStore,
    StoreFailure,
    User,
    bearer,
    create_blueprint,
    login_identity,
    openapi,
)
from flask_aegis_machines._errors import Refusal
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore
from flask_aegis_machines.testing import make_machine
from tests.support.hosts import FIRST, SECOND

from .conftest import ENVIRONMENT
from .test_csv_import import CODES, HEADER, line_of

CHECKOUT = Path(example_app.__file__).parents[1]
SECRET = "S3cret"
Run = Callable[..., Result]


@pytest.fixture
def run(app: Flask) -> Run:
    """Run a command of the group."""

    def run(*arguments: object) -> Result:
        return app.test_cli_runner().invoke(args=["aegis-machines", *map(str, arguments)])

    return run


def host(users: object, machines: object, **config: Any) -> Run:
    """Run a command of a host with these stores."""
    app = Flask(__name__)
    app.config.update(config, JWT_SECRET_KEY="x" * 32)
    JWTManager(app)
    app.register_blueprint(create_blueprint(users=users, machines=machines))
    return lambda *arguments: app.test_cli_runner().invoke(args=["aegis-machines", *map(str, arguments)])


class Broken(MemoryMachineStore):
    """A store of a team's own, whose errors quote values."""

    def _fail(self, *arguments: object) -> NoReturn:
        raise ValueError(SECRET)

    bind = find = problems = _fail


class Duck:
    """A store that has what the endpoints need and no base class of ours."""

    def __init__(self) -> None:
        self.kept = MemoryMachineStore()
        self.bind, self.owner_of, self.list_for = (
            self.kept.bind,
            self.kept.owner_of,
            self.kept.list_for,
        )


class DuckUsers:
    """A user store that has what the endpoints need and no base class of ours."""

    def get(self, identity: str) -> User | None:
        return {"1": FIRST, "2": SECOND}.get(identity)


class TestGroup:
    """Where the commands are."""

    def test_the_group_is_named_after_the_blueprint(self, run: Run) -> None:
        """Four commands stand below the name of the blueprint, each with its summary."""
        result = run("--help")
        assert result.exit_code == 0
        listed = [line.split()[0] for line in result.stdout.partition("Commands:\n")[2].splitlines()]
        assert listed == ["doctor", "import", "openapi", "show"]

    def test_two_blueprints_have_two_groups(self) -> None:
        """Each group speaks of the machines of its own blueprint, also of one that is nested."""
        app = Flask(__name__)
        stores = {name: MemoryMachineStore() for name in ("aegis_machines", "old_ones")}
        parent = Blueprint("parent", __name__, url_prefix="/parent")
        for on, (name, store) in zip((app, parent), stores.items(), strict=True):
            users = MemoryUserStore([FIRST])
            blueprint = create_blueprint(
                users=users, machines=store, name=name, authenticate=bearer(lambda token: token)
            )
            on.register_blueprint(blueprint)
        app.register_blueprint(parent)
        stores["old_ones"].bind(make_machine(), FIRST)
        runner = app.test_cli_runner()
        exits = [
            runner.invoke(args=[group, "show", make_machine().machine_code]).exit_code
            for group in ("aegis-machines", "old-ones")
        ]
        assert exits == [1, 0]

    def test_one_blueprint_mounted_twice_has_one_group(
        self, users: MemoryUserStore, machines: MemoryMachineStore
    ) -> None:
        """Under a second name the same commands would say the same; the host may name a group of its own."""
        app = Flask(__name__)
        blueprint = create_blueprint(users=users, machines=machines, authenticate=bearer(lambda token: token))
        app.register_blueprint(blueprint)
        app.register_blueprint(blueprint, name="again", url_prefix="/again")
        assert "aegis-machines" in app.cli.commands
        assert "again" not in app.cli.commands


class TestDoctor:
    """What is wrong with a host."""

    def test_all_is_well(self, run: Run) -> None:
        """Each check has its line, and the exit status is 0."""
        result = run("doctor")
        assert result.exit_code == 0
        assert result.output == "endpoints: ok\ntokens: ok\nusers: ok\nmachines: ok\n"

    @pytest.mark.parametrize("name", ["REGISTER", "VERIFY", "GET"])
    @pytest.mark.parametrize("closed", [False, lambda: False], ids=["bool", "callable"])
    def test_a_closed_endpoint_is_told(self, app: Flask, run: Run, name: str, closed: object) -> None:
        """The line names the key that opens it."""
        key = f"AEGIS_MACHINES_{name}_OPEN"
        app.config[key] = closed
        result = run("doctor")
        assert result.exit_code == 1
        assert result.output.splitlines() == [
            f"endpoints: An endpoint is closed: set {key} to True to open it.",
            "tokens: ok",
            "users: ok",
            "machines: ok",
        ]

    def test_a_key_of_the_config_that_is_no_bool_is_told(self, app: Flask, run: Run) -> None:
        """What every request would be refused for is found out here."""
        app.config["AEGIS_MACHINES_GET_OPEN"] = lambda: SECRET
        result = run("doctor")
        assert result.exit_code == 1
        assert result.output.startswith(
            "endpoints: could not be checked: AEGIS_MACHINES_GET_OPEN must be True, False or a callable"
        )
        assert SECRET not in result.output

    def test_a_key_that_asks_for_the_request_cannot_be_checked(
        self, users: MemoryUserStore, machines: MemoryMachineStore
    ) -> None:
        """A command has no request; the other checks are made all the same."""
        run = host(users, machines, AEGIS_MACHINES_GET_OPEN=lambda: request.host == "here")
        result = run("doctor")
        assert result.exit_code == 1
        first, *others = result.output.splitlines()
        assert first.startswith("endpoints: could not be checked: RuntimeError at ")
        assert others == ["tokens: ok", "users: ok", "machines: ok"]

    def test_a_short_secret_is_told(self, app: Flask, run: Run) -> None:
        """The secret of the default token system is looked at, and not printed."""
        app.config["JWT_SECRET_KEY"] = SECRET
        result = run("doctor")
        assert result.exit_code == 1
        told = "tokens: The secret has 6 bytes: HS256 needs 32 random ones as JWT_SECRET_KEY."
        assert result.output.splitlines()[1] == told

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({}, "This app has no JWTManager: "),
            ({"authenticate": login_identity}, "This app has no LoginManager: "),
            ({"authenticate": bearer(lambda token: token)}, "ok"),
        ],
        ids=["JWT", "Flask-Login", "the host's own"],
    )
    def test_a_missing_token_system_is_told(
        self, users: MemoryUserStore, machines: MemoryMachineStore, options: dict[str, Any], told: str
    ) -> None:
        """The ready ones say what to call; one of the host's own is the host's to check."""
        app = Flask(__name__)
        app.register_blueprint(create_blueprint(users=users, machines=machines, **options))
        result = app.test_cli_runner().invoke(args=["aegis-machines", "doctor"])
        assert result.exit_code == (told != "ok")
        assert result.output.splitlines()[1].startswith(f"tokens: {told}")

    def test_every_problem_of_a_store_is_told(self, users: MemoryUserStore) -> None:
        """Each sentence has a line of its own."""

        class Worn(MemoryMachineStore):
            def problems(self) -> list[str]:
                return ["The one.", "The other."]

        result = host(users, Worn())("doctor")
        assert result.exit_code == 1
        assert result.output.splitlines()[3:] == ["machines: The one.", "machines: The other."]

    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (StoreFailure("gave up at try 3"), "gave up at try 3"),
            (KeyError(SECRET), "KeyError at test_cli.py:"),
        ],
        ids=["ours", "another"],
    )
    def test_a_store_out_of_reach_is_told(self, users: MemoryUserStore, error: Exception, told: str) -> None:
        """What cannot be checked is wrong, too; of errors that are not ours the kind alone is told."""

        class Away(MemoryMachineStore):
            def problems(self) -> list[str]:
                raise error

        result = host(users, Away())("doctor")
        assert result.exit_code == 1
        assert result.output.splitlines()[3].startswith(f"machines: could not be checked: {told}")
        assert SECRET not in result.output

    def test_a_store_without_a_base_of_ours_has_no_problem(self) -> None:
        """What a store does not have is not asked for."""
        result = host(DuckUsers(), Duck())("doctor")
        assert (result.exit_code, result.output.splitlines()[3]) == (0, "machines: ok")


class TestShow:
    """Whose a machine is."""

    def test_the_owner_is_shown_redacted(self, run: Run, machines: MemoryMachineStore) -> None:
        """The owner's ID number has its middle starred; the moment is in UTC, to the second."""
        machines.bind(make_machine(), SECOND)
        (kept,) = machines.list_for(SECOND)
        assert kept.registered_at is not None
        result = run("show", make_machine().machine_code)
        assert (result.exit_code, result.output.splitlines()) == (
            0,
            [
                "owner: 220***********2345",
                f"since: {kept.registered_at.replace(microsecond=0).isoformat()}",
            ],
        )

    @pytest.mark.parametrize("code", [make_machine().machine_code.upper(), SECRET, "", "\udce9"])
    def test_a_code_that_nobody_has(self, run: Run, machines: MemoryMachineStore, code: str) -> None:
        """Codes are compared exactly; what was asked for is not repeated."""
        machines.bind(make_machine(), FIRST)
        result = run("show", code)
        assert (result.exit_code, result.output) == (1, "Error: Nobody has this machine code.\n")

    def test_an_owner_who_is_gone(self, machines: MemoryMachineStore) -> None:
        """The machine stays bound to a user who was removed."""
        machines.bind(make_machine(), FIRST)
        result = host(MemoryUserStore(), machines)("show", make_machine().machine_code)
        assert result.exit_code == 0
        assert result.output.startswith("owner: gone\nsince: 2")

    def test_a_moment_that_is_not_known(self, users: MemoryUserStore) -> None:
        """A store that took machines over may not know since when."""

        class Old(MemoryMachineStore):
            def find(self, machine_code: str) -> tuple[Machine, object] | None:
                return make_machine(machine_code), FIRST.key

        result = host(users, Old())("show", CODES[1])
        assert result.output == "owner: 110***********1234\nsince: unknown\n"

    def test_a_store_that_cannot_find(self) -> None:
        """A store may leave find() out, with a base class of ours or without."""

        class Without(MemoryMachineStore):
            find = MachineStore.find

        for store in (Duck(), Without()):
            result = host(DuckUsers(), store)("show", CODES[1])
            assert (result.exit_code, result.output) == (
                1,
                "Error: This app's machine store has no find().\n",
            )

    def test_a_user_store_without_a_base_of_ours_finds_owners_by_identity(
        self, machines: MemoryMachineStore
    ) -> None:
        """Where the key is the identity, nothing is needed to show an owner."""
        machines.bind(make_machine(), SECOND)
        result = host(DuckUsers(), machines)("show", make_machine().machine_code)
        assert result.output.startswith("owner: 220***********2345\n")

    def test_a_failure_is_told_without_values(self, users: MemoryUserStore) -> None:
        """The text of an error that is not ours stays inside."""
        result = host(users, Broken())("show", CODES[1])
        assert result.exit_code == 1
        assert result.output.startswith("Error: ValueError at test_cli.py:")
        assert SECRET not in result.output


class TestOpenApi:
    """The document for machines."""

    @pytest.mark.parametrize(("arguments", "prefix"), [([], ""), (["--prefix", "/api/v1"], "/api/v1")])
    def test_the_document_is_printed_as_json(self, run: Run, arguments: list[str], prefix: str) -> None:
        """What is printed is the document, for the path where the blueprint is mounted."""
        result = run("openapi", *arguments)
        assert result.exit_code == 0
        assert json.loads(result.stdout) == openapi.document(prefix)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a file of lines below the names of the columns."""

    def write(*lines: str) -> Path:
        path = tmp_path / "machines.csv"
        path.write_bytes("\n".join([HEADER, *lines]).encode("utf-8", "surrogateescape"))
        return path

    return write


class TestImport:
    """Machines of another system."""

    def test_good_lines_are_bound(
        self, run: Run, write: Callable[..., Path], machines: MemoryMachineStore
    ) -> None:
        """Nothing refused is nothing reported, and the exit status is 0; run again, nothing changes."""
        path = write(line_of(CODES[1], FIRST), line_of(CODES[2], SECOND))
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # the mark that spreadsheets begin with
        for summary in ("2 bound, 0 bound before", "0 bound, 2 bound before"):
            result = run("import", path)
            assert (result.exit_code, result.stdout) == (0, "")
            assert result.stderr.endswith(f"{summary}, 0 refused, up to line 3\n")
        assert [len(machines.list_for(user)) for user in (FIRST, SECOND)] == [1, 1]

    def test_refused_lines_are_reported_without_values(
        self, run: Run, write: Callable[..., Path], machines: MemoryMachineStore
    ) -> None:
        """The report has the line, the code and the field of each refusal; the good lines are bound."""
        path = write(
            line_of(CODES[1]),
            line_of(machine_code=SECRET, windows_uuid=SECRET + "\1"),
            line_of(user_AegisSpeed_id=SECRET),
            line_of(identity=SECRET),
            line_of(CODES[1], SECOND),
            line_of(machine_cpu=SECRET + "\udce9"),
            SECRET,
            '"' + SECRET,
        )
        result = run("import", path)
        facts = "must be at most 255 characters, without control characters"
        assert result.exit_code == 1
        assert result.stdout.splitlines() == [
            "line 3: 10400 machine_code: must be exactly 32 printable ASCII characters without spaces",
            f"line 3: 10400 windows_uuid: {facts}",
            "line 4: 10002 user_AegisSpeed_id: Invalid user AegisSpeed ID",
            "line 5: 10003 User does not exist",
            "line 6: 10004 Machine code already registered",
            f"line 7: 10400 machine_cpu: {facts}",
            "line 8: 10400 row: must have as many fields as the first line, in quotes that close",
            "line 9: 10400 row: must have as many fields as the first line, in quotes that close",
        ]
        assert result.stderr.endswith("1 bound, 0 bound before, 7 refused, up to line 9\n")
        assert SECRET not in result.output
        assert [machine.machine_code for machine in machines.list_for(FIRST)] == [CODES[1]]

    def test_a_file_without_names_is_refused(self, run: Run, tmp_path: Path) -> None:
        """A file of something else is told so, and nothing of it is repeated."""
        path = tmp_path / "machines.csv"
        path.write_bytes(b"\xff\xfe" + SECRET.encode() + b"\n\0")
        result = run("import", path)
        assert result.exit_code == 1
        assert "Error: The first line of the file must name each of these columns once: " in result.stderr
        assert SECRET not in result.output

    def test_a_file_that_is_not_there_is_refused(self, run: Run, tmp_path: Path) -> None:
        """A wrong name and a folder are a wrong use of the command."""
        assert [run("import", path).exit_code for path in (tmp_path, tmp_path / "none")] == [2, 2]

    def test_a_failure_is_overcome_by_another_run(
        self, users: MemoryUserStore, machines: MemoryMachineStore, write: Callable[..., Path]
    ) -> None:
        """A store that fails in the middle ends the run, which says how far it came; the next goes on."""

        class Failing(MemoryMachineStore):
            def bind_many(self, bindings: Sequence[tuple[Machine, User]]) -> list[Refusal | None]:
                if bindings[-1][0].machine_code > CODES[600]:
                    raise StoreFailure("gave up at try 3")
                return machines.bind_many(bindings)

        path = write(*(line_of(code) for code in CODES[1:701]))
        result = host(users, Failing())("import", path)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.endswith(
            "500 bound, 0 bound before, 0 refused, up to line 501\nError: gave up at try 3\n"
        )
        result = host(users, machines)("import", path)
        assert result.exit_code == 0
        assert result.stderr.endswith("200 bound, 500 bound before, 0 refused, up to line 701\n")

    def test_an_error_that_is_not_ours_is_told_without_values(
        self, users: MemoryUserStore, write: Callable[..., Path]
    ) -> None:
        """The kind and the place of an error are enough to look for it."""
        result = host(users, Broken())("import", write(line_of()))
        assert result.exit_code == 1
        assert "\nError: ValueError at test_cli.py:" in result.stderr
        assert SECRET not in result.output

    def test_a_store_without_a_base_of_ours_will_do(self, write: Callable[..., Path]) -> None:
        """A store that binds one machine at a time binds many one by one."""
        store = Duck()
        result = host(DuckUsers(), store)("import", write(line_of(CODES[1]), line_of(CODES[2], SECOND)))
        assert result.exit_code == 0
        assert [len(store.list_for(user)) for user in (FIRST, SECOND)] == [1, 1]

    def test_an_interrupt_says_how_far_it_came(
        self, users: MemoryUserStore, write: Callable[..., Path]
    ) -> None:
        """Whoever stops a run learns what it did."""

        class Interrupted(MemoryMachineStore):
            def bind(self, machine: Machine, user: User) -> None:
                if machine.machine_code == CODES[600]:
                    raise KeyboardInterrupt
                super().bind(machine, user)

        result = host(users, Interrupted())("import", write(*(line_of(code) for code in CODES[1:701])))
        assert result.exit_code == 1
        assert "500 bound, 0 bound before, 0 refused, up to line 501\n" in result.stderr
        assert result.stderr.endswith("Aborted!\n")

    def test_a_pipe_has_no_length(
        self, run: Run, write: Callable[..., Path], machines: MemoryMachineStore
    ) -> None:
        """A file may come through a pipe, as one that is unpacked meanwhile."""
        reader, writer = os.pipe()
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(write(line_of(CODES[1])).read_bytes())
        result = run("import", f"/dev/fd/{reader}")
        os.close(reader)
        assert result.exit_code == 0
        assert [machine.machine_code for machine in machines.list_for(FIRST)] == [CODES[1]]


SMALL_HOST = """
from flask import Flask

from flask_aegis_machines import User, bearer, create_blueprint
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore

users = MemoryUserStore([User(1, "ASD000001", "110101199003071234")])
app = Flask(__name__)
app.register_blueprint(create_blueprint(users=users, machines=MemoryMachineStore(), authenticate=bearer(str)))
"""


class TestCommandLine:
    """The real command, in a process of its own."""

    @pytest.fixture
    def start(self, tmp_path: Path) -> Callable[..., subprocess.Popen[bytes]]:
        """Start a command of the group."""
        (tmp_path / "small_host.py").write_text(SMALL_HOST)
        environment = {
            **ENVIRONMENT,
            "FLASK_INSTANCE_PATH": str(tmp_path / "instance"),
            "FLASK_SQLALCHEMY_TRACK_MODIFICATIONS": "false",  # Flask-SQLAlchemy 2.5 warns unless it is set
        }

        def start(
            *arguments: object, app: object = tmp_path / "small_host.py", **options: Any
        ) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "flask", "--app", app, "aegis-machines", *arguments]
            return subprocess.Popen([*map(str, command)], cwd=CHECKOUT, env=environment, **options)

        return start

    def test_the_example_app_is_well(self, start: Callable[..., subprocess.Popen[bytes]]) -> None:
        """What a first start makes passes every check."""
        with start("doctor", app="example_app", stdout=subprocess.PIPE) as doctor:
            out, _ = doctor.communicate(timeout=60)
        assert (doctor.returncode, out) == (0, b"endpoints: ok\ntokens: ok\nusers: ok\nmachines: ok\n")

    def test_a_terminal_shows_progress_and_report(
        self, start: Callable[..., subprocess.Popen[bytes]], write: Callable[..., Path]
    ) -> None:
        """The bar runs to its end, and a line of the report takes its place."""
        terminal, end = os.openpty()
        lines = ["x", *(line_of(code) for code in CODES[1:1000])]
        with start("import", write(*lines), stdout=end, stderr=end) as importing:
            os.close(end)
            shown = b""
            with suppress(OSError):  # how a terminal ends
                while part := os.read(terminal, 4096):
                    shown += part
            importing.wait(timeout=60)
        os.close(terminal)
        assert importing.returncode == 1
        steps = [
            rb"Importing  \[-+\]    0%",
            rb"\033\[G\033\[Kline 2: 10400 row: must have as many fields as the first line[^\n]*\n",
            rb"Importing  \[#+-+\]   5\d%",
            rb"Importing  \[#+\]  100%",
            rb"\n999 bound, 0 bound before, 1 refused, up to line 1001\r\n$",
        ]
        assert re.search(b".*".join(steps), shown, re.DOTALL)

    def test_a_report_that_nobody_reads_ends_the_run(
        self, start: Callable[..., subprocess.Popen[bytes]], write: Callable[..., Path]
    ) -> None:
        """A pipe that is closed early, as by ``head``, ends it with what was reported, and no traceback."""
        with start("import", write("x", "x"), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as importing:
            assert importing.stdout is not None
            importing.stdout.close()
            assert importing.stderr is not None
            told = importing.stderr.read()
        assert importing.returncode == 1
        assert told == b"Importing\n0 bound, 0 bound before, 0 refused, up to line 1\n"
