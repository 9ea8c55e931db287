"""The blueprint's group of ``flask`` commands, and its commands ``show`` and ``openapi``."""

from __future__ import annotations

import json

import pytest
from flask import Blueprint, Flask

from flask_aegis_machines import Machine, MachineStore, User, bearer, create_blueprint, openapi
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore
from flask_aegis_machines.testing import make_machine
from tests.support.commands import SECRET, DuckMachines, DuckUsers, FailingStore, invoke, make_app
from tests.support.hosts import FIRST, SECOND

CODE = make_machine().machine_code


class TestGroup:
    """Where the commands are."""

    def test_the_group_has_the_name_of_the_blueprint(self, app: Flask) -> None:
        """The group has four commands, each with a summary."""
        result = invoke(app, "--help")
        assert result.exit_code == 0
        listed = [line.split(maxsplit=1) for line in result.stdout.partition("Commands:\n")[2].splitlines()]
        assert [name for name, _ in listed] == ["doctor", "import", "openapi", "show"]

    def test_two_blueprints_have_two_groups(self) -> None:
        """Each group works on the stores of its own blueprint, also of a nested one."""
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
            runner.invoke(args=[group, "show", CODE]).exit_code for group in ("aegis-machines", "old-ones")
        ]
        assert exits == [1, 0]

    def test_a_second_mount_adds_no_group(self, users: MemoryUserStore, machines: MemoryMachineStore) -> None:
        """One blueprint that is mounted twice has one group."""
        app = Flask(__name__)
        blueprint = create_blueprint(users=users, machines=machines, authenticate=bearer(lambda token: token))
        app.register_blueprint(blueprint)
        app.register_blueprint(blueprint, name="again", url_prefix="/again")
        assert "aegis-machines" in app.cli.commands
        assert "again" not in app.cli.commands

    def test_commands_work_without_a_group(
        self, users: MemoryUserStore, machines: MemoryMachineStore
    ) -> None:
        """With cli_group=None Flask puts the commands beside its own."""
        machines.bind(make_machine(), FIRST)
        app = Flask(__name__)
        blueprint = create_blueprint(users=users, machines=machines, authenticate=bearer(lambda token: token))
        app.register_blueprint(blueprint, cli_group=None)
        result = app.test_cli_runner().invoke(args=["show", CODE])
        assert result.output.startswith("owner: 110***********1234\n")


class TestShow:
    """Whose a machine is."""

    def test_the_owner_is_shown_redacted(self, app: Flask, machines: MemoryMachineStore) -> None:
        """The middle of the ID number is starred. The timestamp is in UTC, to the second."""
        machines.bind(make_machine(), SECOND)
        (kept,) = machines.list_for(SECOND)
        assert kept.registered_at is not None
        since = kept.registered_at.replace(microsecond=0).isoformat()
        result = invoke(app, "show", CODE)
        assert (result.exit_code, result.output) == (0, f"owner: 220***********2345\nsince: {since}\n")

    @pytest.mark.parametrize("code", [CODE.upper(), SECRET, "", "\udce9"])
    def test_a_code_that_is_not_bound_fails(
        self, app: Flask, machines: MemoryMachineStore, code: str
    ) -> None:
        """Codes are compared exactly, and the argument is not repeated."""
        machines.bind(make_machine(), FIRST)
        result = invoke(app, "show", code)
        assert (result.exit_code, result.output) == (1, "Error: This machine code is not bound.\n")

    @pytest.mark.parametrize("start", ["-", "--"])
    def test_a_code_may_begin_with_hyphens(
        self, app: Flask, machines: MemoryMachineStore, start: str
    ) -> None:
        """It is no option, and no message repeats it."""
        code = start + CODE[len(start) :]
        machines.bind(make_machine(code), FIRST)
        assert invoke(app, "show", code).exit_code == 0

    def test_a_deleted_owner_is_shown_as_gone(self, machines: MemoryMachineStore) -> None:
        """The machine stays bound to the key of a user who was deleted."""
        machines.bind(make_machine(), FIRST)
        result = invoke(make_app(MemoryUserStore(), machines), "show", CODE)
        assert result.exit_code == 0
        assert result.output.startswith("owner: gone\nsince: 2")

    def test_a_machine_without_a_key_is_shown(self) -> None:
        """A foreign key with SET NULL leaves no key to look up."""

        class Orphans(MemoryMachineStore):
            def find(self, machine_code: str) -> tuple[Machine, object] | None:
                return make_machine(machine_code), None

        users = MemoryUserStore([User(None, "ASD000001", "110101199003071234")])
        result = invoke(make_app(users, Orphans()), "show", CODE)
        assert (result.exit_code, result.output) == (0, "owner: gone\nsince: unknown\n")

    def test_an_owner_who_may_not_bind_is_shown(self, machines: MemoryMachineStore) -> None:
        """The look-up by key is used, and not the one of a request."""

        class Inactive(MemoryUserStore):
            def get_by_key(self, key: object) -> User | None:
                return FIRST

        machines.bind(make_machine(), FIRST)
        result = invoke(make_app(Inactive(), machines), "show", CODE)
        assert result.output.startswith("owner: 110***********1234\n")

    def test_a_store_without_find_fails(self) -> None:
        """A store may leave find() out, with or without our base class."""

        class Without(MemoryMachineStore):
            find = MachineStore.find

        for store in (DuckMachines(), Without()):
            result = invoke(make_app(DuckUsers(), store), "show", CODE)
            assert result.exit_code == 1
            assert result.output == "Error: This app's machine store has no find().\n"

    def test_a_user_store_without_base_class_finds_by_identity(self, machines: MemoryMachineStore) -> None:
        """Where the key is the identity, the required method is enough."""
        machines.bind(make_machine(), SECOND)
        result = invoke(make_app(DuckUsers(), machines), "show", CODE)
        assert result.output.startswith("owner: 220***********2345\n")

    def test_a_failure_is_printed_without_values(self, users: MemoryUserStore) -> None:
        """The text of an exception that is not ours is not printed."""
        result = invoke(make_app(users, FailingStore()), "show", CODE)
        assert result.exit_code == 1
        assert result.output.startswith("Error: ValueError at commands.py:")
        assert SECRET not in result.output


class TestOpenApi:
    """The document for programs."""

    @pytest.mark.parametrize(("arguments", "prefix"), [([], ""), (["--prefix", "/api/v1"], "/api/v1")])
    def test_the_document_is_printed_as_json(self, app: Flask, arguments: list[str], prefix: str) -> None:
        """The output is the document for the path where the blueprint is mounted."""
        result = invoke(app, "openapi", *arguments)
        assert result.exit_code == 0
        assert json.loads(result.stdout) == openapi.document(prefix)
