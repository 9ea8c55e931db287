"""Runs a page of the documentation in a process, as a reader would in an empty folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import ENVIRONMENT

from . import pages


def run_page(page: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a page in an empty folder."""
    return subprocess.run(
        [sys.executable, "-W", "error", str(pages.__file__), str(page)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,  # a page starts some twenty processes
        env=ENVIRONMENT,
    )
