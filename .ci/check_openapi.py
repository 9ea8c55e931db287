"""Lets schemathesis look for an answer of the example that its OpenAPI document does not allow."""

from __future__ import annotations

import subprocess
import sys
import tempfile

from example import serving, sign_in

# The user of the document's examples: requests that are made from these get as far as the database.
USER = "ASD000001"
OPTIONS = (
    *("--phases", "examples,coverage,fuzzing"),  # operations that are linked to no other have no states
    *("--checks", "all", "--mode", "all", "--max-examples", "200"),
    *("--seed", "1", "--generation-database", "none", "--no-color"),
    "--suppress-health-check=too_slow",  # of a loaded machine, and no finding
)

with serving(sys.argv[1]) as url, tempfile.TemporaryDirectory() as scratch:
    header = f"Authorization: Bearer {sign_in(url, USER)}"
    command = ["schemathesis", "run", f"{url}/openapi.json", "--header", header, *OPTIONS]
    sys.exit(subprocess.run(command, cwd=scratch, timeout=1200).returncode)
