"""The command ``import``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import pytest
from flask import Flask

from flask_aegis_machines import Machine, StoreFailure, User
from flask_aegis_machines._csv_rows import MAX_ROW
from flask_aegis_machines._errors import Refusal
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore
from flask_aegis_machines.testing import make_machine
from tests.support.commands import SECRET, DuckMachines, DuckUsers, FailingStore, invoke, make_app
from tests.support.csv_files import CODES, HEADER, line_of, write_csv
from tests.support.hosts import FIRST, SECOND

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file of lines below the names of the columns."""
    return partial(write_csv, tmp_path)


class TestImport:
    """Machines of another system."""

    def test_good_lines_are_bound(self, app: Flask, write: Write, machines: MemoryMachineStore) -> None:
        """Nothing is printed on standard output, and the exit status is 0. A second run changes nothing."""
        path = write(line_of(CODES[1], FIRST), line_of(CODES[2], SECOND))
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # spreadsheets begin with this mark
        for summary in ("2 bound, 0 bound before", "0 bound, 2 bound before"):
            result = invoke(app, "import", path)
            assert (result.exit_code, result.stdout) == (0, "")
            assert result.stderr.endswith(f"{summary}, 0 refused, up to line 3\n")
        assert [len(machines.list_for(user)) for user in (FIRST, SECOND)] == [1, 1]

    def test_refused_lines_are_listed_without_values(
        self, app: Flask, write: Write, machines: MemoryMachineStore
    ) -> None:
        """The report has the line, the code and the field of each refusal. The good lines are bound."""
        path = write(
            line_of(CODES[1]),
            line_of(machine_code=SECRET, windows_uuid=SECRET + "\1"),
            line_of(user_AegisSpeed_id=SECRET),
            line_of(identity=SECRET),
            line_of(CODES[1], SECOND),
            line_of(machine_cpu=SECRET + "\udce9"),
            SECRET,
            SECRET * MAX_ROW,
            '"' + SECRET,
        )
        result = invoke(app, "import", path)
        assert result.exit_code == 1
        assert [line.partition(" must ")[0] for line in result.stdout.splitlines()] == [
            "line 3: 10400 machine_code:",
            "line 3: 10400 windows_uuid:",
            "line 4: 10002 user_AegisSpeed_id: Invalid user AegisSpeed ID",
            "line 5: 10003 User does not exist",
            "line 6: 10004 Machine code already registered",
            "line 7: 10400 machine_cpu:",
            "line 8: 10400 row:",
            "line 9: 10400 row:",
            "line 10: 10400 row:",
        ]
        assert f"line 9: 10400 row: must not be longer than {MAX_ROW} characters\n" in result.stdout
        assert result.stderr.endswith("1 bound, 0 bound before, 8 refused, up to line 10\n")
        assert SECRET not in result.output
        assert [machine.machine_code for machine in machines.list_for(FIRST)] == [CODES[1]]

    def test_timestamps_are_taken_over(self, app: Flask, write: Write, machines: MemoryMachineStore) -> None:
        """Teams that migrate keep when a machine was bound."""
        line = line_of(registered_at="2024-05-31T14:00:00+02:00")
        assert invoke(app, "import", write(line, header=HEADER + ",registered_at")).exit_code == 0
        (kept,) = machines.list_for(FIRST)
        assert kept.registered_at == datetime(2024, 5, 31, 12, tzinfo=timezone.utc)

    def test_owners_who_may_not_bind_keep_machines(self, write: Write, machines: MemoryMachineStore) -> None:
        """The owner of an old machine may be inactive, so the look-up of a request does not count."""

        class Inactive(MemoryUserStore):
            def get_any(self, identity: str) -> User | None:
                return FIRST

        app = make_app(Inactive(), machines)
        for options in (["--dry-run"], []):
            assert invoke(app, "import", *options, write(line_of())).exit_code == 0
        assert len(machines.list_for(FIRST)) == 1

    @pytest.mark.parametrize("options", [[], ["--dry-run"]])
    def test_a_store_that_joins_a_transaction_is_refused(self, write: Write, options: list[str]) -> None:
        """A command has no request whose transaction the app commits."""

        class Joining(MemoryMachineStore):
            joins_host_transaction = True

        result = invoke(make_app(DuckUsers(), Joining()), "import", *options, write(line_of()))
        assert result.exit_code == 1
        assert 'an import needs a store with transaction="own"' in result.stderr

    def test_a_file_without_names_fails(self, app: Flask, tmp_path: Path) -> None:
        """Nothing of a file of another kind is repeated."""
        path = tmp_path / "machines.csv"
        path.write_bytes(b"\xff\xfe" + SECRET.encode() + b"\n\0")
        result = invoke(app, "import", path)
        assert result.exit_code == 1
        assert "Error: The first line of the file must name each of these columns once: " in result.stderr
        assert SECRET not in result.output

    def test_a_missing_file_is_a_wrong_use(self, app: Flask, tmp_path: Path) -> None:
        """So is a folder."""
        assert [invoke(app, "import", path).exit_code for path in (tmp_path, tmp_path / "none")] == [2, 2]

    def test_another_run_goes_on_after_a_failure(
        self, users: MemoryUserStore, machines: MemoryMachineStore, write: Write
    ) -> None:
        """A run that ends in the middle says how far it came."""

        class Failing(MemoryMachineStore):
            def bind_many(self, bindings: Sequence[tuple[Machine, User]]) -> list[Refusal | None]:
                if bindings[-1][0].machine_code > CODES[600]:
                    raise StoreFailure("gave up at try 3")
                return machines.bind_many(bindings)

        path = write(*(line_of(code) for code in CODES[1:701]))
        result = invoke(make_app(users, Failing()), "import", path)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.endswith(
            "500 bound, 0 bound before, 0 refused, up to line 501\nError: gave up at try 3\n"
        )
        result = invoke(make_app(users, machines), "import", path)
        assert result.exit_code == 0
        assert result.stderr.endswith("200 bound, 500 bound before, 0 refused, up to line 701\n")

    @pytest.mark.parametrize("options", [[], ["--dry-run"]])
    def test_a_failure_is_printed_without_values(
        self, users: MemoryUserStore, write: Write, options: list[str]
    ) -> None:
        """The class and the place of an exception are enough to look for it."""
        result = invoke(make_app(users, FailingStore()), "import", *options, write(line_of()))
        assert result.exit_code == 1
        assert "\nError: ValueError at commands.py:" in result.stderr
        assert SECRET not in result.output

    def test_stores_without_base_class_are_enough(self, write: Write) -> None:
        """A store that binds one machine at a time binds many one by one."""
        store = DuckMachines()
        app = make_app(DuckUsers(), store)
        result = invoke(app, "import", write(line_of(CODES[1]), line_of(CODES[2], SECOND)))
        assert result.exit_code == 0
        assert [len(store.list_for(user)) for user in (FIRST, SECOND)] == [1, 1]

    def test_an_interrupt_says_how_far_it_came(self, users: MemoryUserStore, write: Write) -> None:
        """The summary is printed whatever ends the run."""

        class Interrupted(MemoryMachineStore):
            def bind(self, machine: Machine, user: User) -> None:
                if machine.machine_code == CODES[600]:
                    raise KeyboardInterrupt
                super().bind(machine, user)

        path = write(*(line_of(code) for code in CODES[1:701]))
        result = invoke(make_app(users, Interrupted()), "import", path)
        assert result.exit_code == 1
        assert "500 bound, 0 bound before, 0 refused, up to line 501\n" in result.stderr
        assert result.stderr.endswith("Aborted!\n")

    def test_a_pipe_is_read(self, app: Flask, write: Write, machines: MemoryMachineStore) -> None:
        """A file that is unpacked meanwhile has no length and no position."""
        reader, writer = os.pipe()
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(write(line_of(CODES[1])).read_bytes())
        result = invoke(app, "import", f"/dev/fd/{reader}")
        os.close(reader)
        assert result.exit_code == 0
        assert [machine.machine_code for machine in machines.list_for(FIRST)] == [CODES[1]]


class TestDryRun:
    """What an import would do."""

    def test_a_dry_run_says_what_would_happen(
        self, app: Flask, write: Write, machines: MemoryMachineStore
    ) -> None:
        """Its report is that of the import after it, and nothing is bound."""
        machines.bind(make_machine(CODES[1]), FIRST)
        path = write(
            line_of(CODES[1], FIRST),
            line_of(CODES[1], SECOND),
            line_of(CODES[2], SECOND),
            line_of(CODES[2], FIRST),
            line_of(CODES[3], identity="99"),
            line_of(CODES[4], machine_cpu="\1"),
        )
        trial = invoke(app, "import", "--dry-run", path)
        assert trial.exit_code == 1
        assert trial.stderr.endswith("1 would be bound, 1 bound before, 4 refused, up to line 7\n")
        assert [len(machines.list_for(user)) for user in (FIRST, SECOND)] == [1, 0]
        result = invoke(app, "import", path)
        assert (trial.exit_code, trial.stdout) == (result.exit_code, result.stdout)
        assert result.stderr.endswith("1 bound, 1 bound before, 4 refused, up to line 7\n")

    def test_a_good_file_has_exit_status_0(
        self, app: Flask, write: Write, machines: MemoryMachineStore
    ) -> None:
        """Also with codes that come again in another batch."""
        path = write(*(line_of(code) for code in [*CODES[1:601], CODES[1]]))
        trial = invoke(app, "import", "--dry-run", path)
        assert (trial.exit_code, trial.stdout) == (0, "")
        assert trial.stderr.endswith("600 would be bound, 1 bound before, 0 refused, up to line 602\n")
        assert machines.list_for(FIRST) == []

    def test_stores_without_base_class_are_enough(self, write: Write) -> None:
        """A dry run needs only the required methods."""
        result = invoke(make_app(DuckUsers(), DuckMachines()), "import", "--dry-run", write(line_of()))
        assert result.stderr.endswith("1 would be bound, 0 bound before, 0 refused, up to line 2\n")
