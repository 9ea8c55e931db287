"""Work outside of a request: a command, a task in another process, ``import`` and ``doctor``."""

from __future__ import annotations

import json
import multiprocessing
import uuid
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from flask_aegis_machines import InvalidRequest, MachineCodeTaken, User, UserNotFound
from tests.support.commands import invoke
from tests.support.csv_files import line_of, write_csv
from tests.support.hosts import example
from tests.support.realistic import CODES, Host, make_app

from .app.commands import bind_for_user
from .app.machines import MACHINES_PER_USER, TooManyMachines
from .app.models import Machine, db


def run_task(url: str, user_id: str, document: dict[str, Any]) -> None:
    """Bind a machine in a worker process, as a task of Celery does."""
    with make_app(url).app_context():
        bind_for_user(user_id, document)


class TestTasks:
    """The host's own function, which binds by the rules of a request."""

    @pytest.mark.parametrize("url", ["sqlite"], indirect=True)  # starting a process takes seconds
    def test_a_worker_process_binds_and_refuses(self, host: Host, owner: uuid.UUID) -> None:
        """Each refusal comes back from the process with what it says, and ends nothing."""
        for code in CODES[1:MACHINES_PER_USER]:
            assert host.register(host.token(owner), code).json["code"] == "10000"
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:

            def run(user_id: object, code: str) -> BaseException | None:
                document = {**example(), "machine_code": code}
                return pool.submit(run_task, host.url, str(user_id), document).exception(60)

            assert run(owner, CODES[0]) is None
            taken, invalid = run(owner, CODES[0]), run(owner, "x" * 40)
            assert isinstance(taken, MachineCodeTaken)
            assert taken.by_same_user
            assert isinstance(invalid, InvalidRequest)
            assert list(invalid.errors) == ["machine_code"]
            assert isinstance(run(uuid.uuid4(), CODES[-1]), UserNotFound)
            assert isinstance(run(owner, CODES[-1]), TooManyMachines)
        assert host.codes() == CODES[:MACHINES_PER_USER]

    def test_the_command_of_the_host(self, host: Host, owner: uuid.UUID, tmp_path: Path) -> None:
        """It binds the machine in a file, and says why it does not."""
        file = tmp_path / "machine.json"
        file.write_text(json.dumps({**example(), "machine_code": CODES[0]}))
        runner = host.app.test_cli_runner()
        assert runner.invoke(args=["bind-machine", str(owner), str(file)]).exit_code == 0
        result = runner.invoke(args=["bind-machine", str(owner), str(file)])
        assert (result.exit_code, result.output) == (1, "Error: Machine code already registered\n")
        assert host.codes() == [CODES[0]]


class TestImport:
    """``flask aegis-machines import`` runs the hooks for each machine."""

    @pytest.fixture
    def file(self, owner: uuid.UUID, tmp_path: Path) -> Path:
        """A file with two machines more than the user may have."""
        user = User(owner, "ASD000001", "")
        when = "2024-05-31T12:00:00Z"
        lines = [line_of(code, user) + f",{when}" for code in CODES[: MACHINES_PER_USER + 2]]
        header = write_csv(tmp_path).read_text() + ",registered_at"
        return write_csv(tmp_path, *lines, header=header)

    def test_an_import_honours_the_hooks(self, host: Host, file: Path) -> None:
        """The limit refuses two lines; each of the others has its tenant, audit entry and timestamp."""
        result = invoke(host.app, "import", file)
        assert (result.exit_code, result.stdout.splitlines()) == (
            1,
            ["line 7: 20001 Machine limit reached", "line 8: 20001 Machine limit reached"],
        )
        assert host.codes() == CODES[:MACHINES_PER_USER]
        with host.app.app_context():
            years = {at.year for at in db.session.scalars(select(Machine.registered_at))}
        assert years == {2024}

    def test_a_second_import_changes_nothing(self, host: Host, file: Path) -> None:
        """What is bound is passed over, without a second audit entry."""
        invoke(host.app, "import", file)
        result = invoke(host.app, "import", file)
        assert "0 bound, 5 bound before, 2 refused" in result.stderr
        assert host.codes() == CODES[:MACHINES_PER_USER]


class TestDoctor:
    """``flask aegis-machines doctor --trial`` with and without the hook."""

    @pytest.mark.parametrize("options", [["--trial"], ["--trial", "--with-hook"]], ids=" ".join)
    def test_a_trial_leaves_nothing(self, host: Host, owner: uuid.UUID, options: list[str]) -> None:
        """Neither the machine nor the audit entry of the hook stays."""
        result = invoke(host.app, "doctor", *options)
        assert result.exit_code == 0, result.output
        assert host.codes() == []

    def test_a_trial_tries_only_users_who_may_bind(self, host: Host, owner: uuid.UUID) -> None:
        """Where ``where=`` admits nobody, there is no trial and no failure."""
        host.change_user(owner, is_active=False)
        result = invoke(host.app, "doctor", "--trial")
        assert result.exit_code == 0, result.output
        assert "no trial" in result.output

    def test_a_hook_that_refuses_the_trial_is_shown(self, host: Host, owner: uuid.UUID) -> None:
        """The user of the trial has as many machines as they may have."""
        for code in CODES[:MACHINES_PER_USER]:
            host.register(host.token(owner), code)
        result = invoke(host.app, "doctor", "--trial", "--with-hook")
        assert result.exit_code == 0, result.output
        assert "trial: notice: " in result.output
        assert "20001 Machine limit reached" in result.output
        assert host.codes() == CODES[:MACHINES_PER_USER]
