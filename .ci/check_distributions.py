"""Checks what the built distributions hold: the wheel the package alone, the sdist the tests as well."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

PACKAGE = Path("flask_aegis_machines")

wheel = next(path for path in sys.argv[1:] if path.endswith(".whl"))
sdist = next(path for path in sys.argv[1:] if path.endswith(".tar.gz"))

expected = {str(path) for path in PACKAGE.rglob("*") if path.suffix in {".py", ".typed"}}
with zipfile.ZipFile(wheel) as archive:
    held = {name for name in archive.namelist() if ".dist-info/" not in name}
if held != expected:
    sys.exit(f"the wheel is not the package: {sorted(held ^ expected)}")

with tarfile.open(sdist) as source:
    packed = {name.partition("/")[2] for name in source.getnames()}
sources = {str(path) for folder in ("tests", "example_app", "docs") for path in Path(folder).rglob("*.py")}
papers = {"LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", ".ci/run"}
missing = expected | sources | papers
if missing - packed:
    sys.exit(f"the sdist lacks {sorted(missing - packed)}")
