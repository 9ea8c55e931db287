"""The contracts themselves: what they ask for, and that they catch a store with the bug put in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ENVIRONMENT

LOOK_THEN_INSERT = '''
import time

import pytest

from flask_aegis_machines import MachineCodeTaken, MachineStore, Owner, User
from flask_aegis_machines.testing import MachineStoreContract, UserStoreContract


class LookThenInsert(MachineStore):
    """Keeps no promise: two requests can look before either inserts."""

    def __init__(self):
        self.rows = []

    def bind(self, machine, user):
        if self.owner_of(machine.machine_code) is not None:
            raise MachineCodeTaken
        time.sleep(0.01)
        self.rows.append((machine, user))

    def owner_of(self, machine_code):
        owners = [Owner(user.key) for machine, user in self.rows if machine.machine_code == machine_code]
        return owners[0] if owners else None

    def list_for(self, user, *, after=None, limit=100):
        return [machine for machine, owner in self.rows if owner == user]


class TestBroken(MachineStoreContract):
    @pytest.fixture
    def store(self):
        return LookThenInsert()

    @pytest.fixture
    def owners(self):
        return User(1, "ASD000001", ""), User(2, "ASD000002", "")


class TestForgottenOwners(MachineStoreContract):
    @pytest.fixture
    def store(self):
        return LookThenInsert()


class TestForgottenMachineStore(MachineStoreContract):
    pass


class TestForgottenUser(UserStoreContract):
    @pytest.fixture
    def store(self):
        return None


class TestForgottenUserStore(UserStoreContract):
    @pytest.fixture
    def user(self):
        return User(1, "ASD000001", "")
'''


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest says of a store that looks before it inserts, and of forgotten fixtures."""
    folder: Path = tmp_path_factory.mktemp("team")
    (folder / "test_team.py").write_text(LOOK_THEN_INSERT)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rA",
        "--tb=short",
        "-p",
        "no:cacheprovider",
        str(folder),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, env=ENVIRONMENT)
    assert done.returncode == 1
    return done.stdout


@pytest.mark.parametrize(
    "caught",
    [
        "test_a_race_has_one_winner",
        "test_a_machine_is_kept_as_it_came",
        "test_the_owner_is_recognized",
        "test_pages_join_without_gap_or_repetition",
        "test_a_page_after_a_strangers_machine_is_empty",
    ],
)
def test_a_store_without_the_promise_is_caught(report: str, caught: str) -> None:
    """A store that looks and then inserts fails the race and the tests of what it leaves out."""
    assert f"FAILED test_team.py::TestBroken::{caught}" in report


def test_what_such_a_store_does_right_passes(report: str) -> None:
    """The contract fails where something is wrong, not everywhere."""
    assert "PASSED test_team.py::TestBroken::test_a_code_belongs_to_whoever_came_first" in report


def test_forgotten_fixtures_are_named(report: str) -> None:
    """A subclass without its fixtures gets an error that names them."""
    named = {
        fixture: report.count(f"Override the fixture '{fixture}'.") for fixture in ("store", "owners", "user")
    }
    assert min(named.values()) > 0, named
