"""The real ``flask`` command, in a separate process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import example_app
from tests.conftest import ENVIRONMENT
from tests.support.csv_files import CODES, line_of, write_csv

CHECKOUT = Path(example_app.__file__).parents[1]
Start = Callable[..., "subprocess.Popen[bytes]"]

SMALL_APP = """
from flask import Flask

from flask_aegis_machines import User, bearer, create_blueprint
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore

users = MemoryUserStore([User(1, "ASD000001", "110101199003071234")])
app = Flask(__name__)
app.register_blueprint(create_blueprint(users=users, machines=MemoryMachineStore(), authenticate=bearer(str)))
"""


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Start a command of the group."""
    (tmp_path / "small_app.py").write_text(SMALL_APP)
    environment = {
        **ENVIRONMENT,
        "FLASK_INSTANCE_PATH": str(tmp_path / "instance"),
        "FLASK_SQLALCHEMY_TRACK_MODIFICATIONS": "false",  # Flask-SQLAlchemy 2.5 warns unless it is set
    }

    def start(
        *arguments: object, app: object = tmp_path / "small_app.py", **options: Any
    ) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "flask", "--app", app, "aegis-machines", *arguments]
        return subprocess.Popen([*map(str, command)], cwd=CHECKOUT, env=environment, **options)

    return start


def test_a_terminal_shows_progress_and_report(start: Start, tmp_path: Path) -> None:
    """The bar runs to its end, and the lines of the report are printed over it."""
    terminal, end = os.openpty()
    lines = ["x", *(line_of(code) for code in CODES[1:1000])]
    with start("import", write_csv(tmp_path, *lines), stdout=end, stderr=end) as importing:
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


def test_a_closed_output_ends_the_import(start: Start, tmp_path: Path) -> None:
    """A pipe that is closed early, as by ``head``, ends it with the summary and without a traceback."""
    with start(
        "import", write_csv(tmp_path, "x", "x"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as importing:
        assert importing.stdout is not None
        importing.stdout.close()
        assert importing.stderr is not None
        printed = importing.stderr.read()
    assert importing.returncode == 1
    assert printed == b"Importing\n0 bound, 0 bound before, 0 refused, up to line 1\n"
