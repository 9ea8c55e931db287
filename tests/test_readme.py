"""The README: its Python runs, and it leaves nothing out."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from flask_aegis_machines._answers import ANSWERS
from flask_aegis_machines._config import DEFAULTS

from .conftest import ENVIRONMENT

CHECKOUT = Path(__file__).parent.parent
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def test_the_python_blocks_run_one_after_the_other(tmp_path: Path) -> None:
    """A reader who has the first block as app.py, and all others in a file of tests, sees them pass."""
    (tmp_path / "app.py").write_text(BLOCKS[0], encoding="utf-8")
    (tmp_path / "test_app.py").write_text("\n\n".join(BLOCKS[1:]), encoding="utf-8")
    options = ["-c", str(CHECKOUT / "pyproject.toml"), "--rootdir", str(tmp_path), "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-q", *options, str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, env=ENVIRONMENT)
    assert done.returncode == 0, done.stdout
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > 10


def test_the_mount_is_what_the_type_checkers_read() -> None:
    """The first block is the host of ``tests/typing``, but for comments, so it passes mypy and pyright."""
    host = (CHECKOUT / "tests" / "typing" / "flask_sqlalchemy_host.py").read_text(encoding="utf-8")
    _, _, typed = host.partition('"""\n\n')
    assert re.sub(" +#.*", "", BLOCKS[0]) == re.sub(" +#.*", "", typed)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.code)
def test_every_answer_is_in_the_table(answer: tuple[int, str, str]) -> None:
    """Each code stands in the table of answers beside its status."""
    assert f"\n| {answer[1]} | {answer[0]} |" in README


@pytest.mark.parametrize(("key", "default"), DEFAULTS.items())
def test_every_config_key_is_in_the_table(key: str, default: bool) -> None:
    """Each key stands in the table of keys beside its default."""
    assert f"\n| `{key}` | `{default}` |" in README
