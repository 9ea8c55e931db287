"""The `flask` commands of the example: only those that serve or open a shell prepare the database."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import click
import pytest

from tests.support.example import CHECKOUT, Apps, users_of

APP_TABLES = {"user", "machine"}


def flask(apps: Apps, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """Run a `flask` command of the example in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "flask", "--app", "example_app", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, "FLASK_INSTANCE_PATH": str(apps.instance)},
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
    )


def tables(apps: Apps) -> set[str]:
    """Return the tables of the app that the default database has."""
    with closing(sqlite3.connect(apps.instance / "example.db")) as connection:
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {name for (name,) in found} & APP_TABLES


def test_printing_the_migrations_applies_none(apps: Apps) -> None:
    """`flask db upgrade --sql` on a new folder prints the statements, and creates no table."""
    printed = flask(apps, "db", "upgrade", "--sql")
    assert (printed.returncode, "CREATE TABLE machine" in printed.stdout) == (0, True)
    assert tables(apps) == set()


def test_upgrade_creates_tables_without_users(apps: Apps) -> None:
    """`flask db upgrade` creates the tables; the demo users follow when the app is first served."""
    assert flask(apps, "db", "upgrade").returncode == 0
    with closing(sqlite3.connect(apps.instance / "example.db")) as connection:
        assert connection.execute("SELECT count(*) FROM user").fetchone() == (0,)
    assert users_of(apps.start()).keys() == {"ASD000001", "ASD000002"}


@pytest.mark.clusters  # for its time
def test_later_commands_keep_a_downgrade(apps: Apps) -> None:
    """After `flask db downgrade`, the next commands leave the database as it is."""
    apps.start()
    assert flask(apps, "db", "downgrade").returncode == 0
    assert "machine" not in tables(apps)
    assert flask(apps, "db", "current").stdout.startswith("0001")
    assert flask(apps, "routes").returncode == 0
    assert tables(apps) == {"user"}


def test_doctor_reports_missing_tables(apps: Apps) -> None:
    """`flask aegis-machines doctor` on a new folder reports the missing tables, and creates none."""
    doctor = flask(apps, "aegis-machines", "doctor")
    assert (doctor.returncode, "machines: ok" in doctor.stdout) == (1, False)
    assert tables(apps) == set()


def test_doctor_finds_a_started_app_good(apps: Apps) -> None:
    """What a first start creates passes every check of `flask aegis-machines doctor`."""
    apps.start()
    doctor = flask(apps, "aegis-machines", "doctor")
    assert doctor.stdout == "config: ok\ntokens: ok\nusers: ok\nmachines: ok\n"
    assert doctor.returncode == 0


def test_shell_has_tables_and_users(apps: Apps) -> None:
    """`flask shell` on a new folder prepares the database, as `flask run` does."""
    query = "from example_app.models import *; print(db.session.query(User).count(), 'users')\n"
    assert "2 users" in flask(apps, "shell", typed=query).stdout


def test_start_below_another_program_is_prepared(apps: Apps) -> None:
    """A server or a worker whose own command is one of click, such as uvicorn's, prepares the database."""
    with click.Context(click.Command("uvicorn")).scope():
        assert users_of(apps.start()).keys() == {"ASD000001", "ASD000002"}
