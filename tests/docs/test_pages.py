"""The documentation: every block runs, in the order of its page."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import __version__ as sqlalchemy_version

from tests.support.page_runs import run_page

CHECKOUT = Path(__file__).parent.parent.parent
QUICK = [CHECKOUT / "README.md", CHECKOUT / "docs" / "quickstart.md"]
OTHERS = [page for page in sorted((CHECKOUT / "docs").glob("*.md")) if page not in QUICK]
PAGES = [*QUICK, *(pytest.param(page, marks=pytest.mark.clusters) for page in OTHERS)]


@pytest.mark.skipif(sqlalchemy_version.startswith("1."), reason="the pages are written for SQLAlchemy 2")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    """A reader who follows a page from its top to its end sees what it shows."""
    done = run_page(page, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
