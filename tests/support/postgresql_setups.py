"""Triggers of PostgreSQL."""

from __future__ import annotations

from tests.support.setup_texts import CHANGED, FAILS, NOT_STORED, TRIGGERS
from tests.support.setups import machine_table


def trigger(when: str, action: str, *, returns: str = "NEW", options: str = "") -> tuple[str, ...]:
    """Return statements that make a trigger for each row."""
    return (
        "CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$BEGIN {action}; RETURN {returns}; END$$",
        f"CREATE {'CONSTRAINT ' * bool(options)}TRIGGER special {when} INSERT ON machine {options}"
        " FOR EACH ROW EXECUTE FUNCTION act()",
    )


def table(*, options: str, **types: str) -> tuple[str, ...]:
    """Return statements that make the table of machines again."""
    usual = {
        "id": "INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        "registered_at": "TIMESTAMPTZ NOT NULL",
    }
    return machine_table(options=options, **{**usual, **types})


#: What is expected where a trigger skips the row, and where it changes the row.
SKIPPED = {
    "register": FAILS,
    "log": NOT_STORED,
    "doctor": [TRIGGERS],
    "trial": "stored no row",
}
REWRITTEN = {"register": FAILS, "log": CHANGED, "doctor": [TRIGGERS], "trial": CHANGED}
