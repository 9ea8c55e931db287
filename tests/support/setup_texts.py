"""What is logged and reported of set-ups, as far as tests of several databases look for it."""

from __future__ import annotations

from typing import Any

FAILS = "10005 10005 10005"
DIGITS = "12345678901234567890123456789012"

CHANGED = "the database stored another row"
NOT_STORED = "stored no row and shows no bound code"
NO_KEY = "no plain unique key"
OTHER_KEY = "another unique key of the table, or the collation"
RULES = "the table has rules for INSERT"

NOT_EXACT = "does not compare exactly"
NOT_UNIQUE = "Nothing in the live table machine makes machine_code unique"
NO_FOREIGN_KEY = "has no foreign key"
NO_PAGE = "Pages of the list"
TRIGGERS = "has triggers"

#: What a trigger does that gives the row of an owner to whoever binds the code again.
GIVEN_AWAY = (
    "UPDATE machine SET user_id = NEW.user_id, attempt = NEW.attempt WHERE machine_code = NEW.machine_code"
)


def refused(reason: str, **expected: Any) -> dict[str, Any]:
    """Return what is expected where each registration and the trial fail for a reason."""
    return {"register": FAILS, "log": reason, "trial": reason, **expected}
