"""The README: one screen, whose mount is that of the quickstart, and two commands that CI runs."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.pages import Block, blocks_of, file_of

CHECKOUT = Path(__file__).parent.parent
README = CHECKOUT / "README.md"


def block_of(page: Path, name: str) -> Block:
    """Return the block of a page that becomes a file."""
    (block,) = [block for block in blocks_of(page) if (named := file_of(block)) and named[1] == name]
    return block


def test_it_fits_on_one_screen() -> None:
    """Everything else is in the documentation."""
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 120


def test_two_commands_run_the_example_and_the_tests() -> None:
    """Each is one line, in this order, as ``.ci/run`` reads them."""
    commands = re.findall(r"^pip install -e .* && (\w+)", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert commands == ["flask", "pytest"]


def test_the_mount_is_that_of_the_quickstart() -> None:
    """Whoever goes on in the quickstart finds the same files."""
    for name in ("app.py", "first_user.py"):
        assert block_of(README, name).text == block_of(CHECKOUT / "docs" / "quickstart.md", name).text


def test_the_mount_is_what_the_type_checkers_read() -> None:
    """It is the host of ``tests/typing``, except for comments, so it passes mypy and pyright."""
    host = (CHECKOUT / "tests" / "typing" / "flask_sqlalchemy_host.py").read_text(encoding="utf-8")
    _, _, typed = host.partition('"""\n\n')
    _, _, mount = block_of(README, "app.py").text.partition("\n")
    assert re.sub(" +#.*", "", mount) == re.sub(" +#.*", "", typed)
