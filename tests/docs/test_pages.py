"""The documentation: every block runs, in the order of its page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import __version__ as sqlalchemy_version

from tests.conftest import ENVIRONMENT

CHECKOUT = Path(__file__).parent.parent.parent
QUICK = [CHECKOUT / "README.md", CHECKOUT / "docs" / "quickstart.md"]
OTHERS = [page for page in sorted((CHECKOUT / "docs").glob("*.md")) if page not in QUICK]
PAGES = [*QUICK, *(pytest.param(page, marks=pytest.mark.clusters) for page in OTHERS)]
RUNNER = CHECKOUT / "tests" / "support" / "pages.py"


def run(page: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a page in an empty folder."""
    return subprocess.run(
        [sys.executable, "-W", "error", str(RUNNER), str(page)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,  # a page starts some twenty processes
        env=ENVIRONMENT,
    )


@pytest.mark.skipif(sqlalchemy_version.startswith("1."), reason="the pages are written for SQLAlchemy 2")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    """A reader who follows a page from its top to its end sees what it shows."""
    done = run(page, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
