"""Lines of the files that ``flask aegis-machines import`` reads."""

from __future__ import annotations

import csv
import io

from flask_aegis_machines import User
from flask_aegis_machines._csv_rows import COLUMNS, Row, read_rows
from flask_aegis_machines._records import MACHINE_FIELDS
from flask_aegis_machines.testing import make_machine
from tests.conftest import FIRST

HEADER = ",".join(COLUMNS)
CODES = [f"{number:032}" for number in range(2000)]
FACTS = [getattr(make_machine(), name) for name in MACHINE_FIELDS[1:]]


def line_of(code: str = CODES[1], user: User = FIRST, **changes: str) -> str:
    """Return a valid line; keyword arguments change columns, or add some at the end."""
    values = dict(zip(COLUMNS, [str(user.key), user.aegisspeed_id, code, *FACTS], strict=True))
    text = io.StringIO()
    csv.writer(text).writerow({**values, **changes}.values())
    return text.getvalue().rstrip("\r\n")


def read(text: str) -> list[Row]:
    """Return the rows of a file as the command reads them."""
    return list(read_rows(io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8-sig")))
