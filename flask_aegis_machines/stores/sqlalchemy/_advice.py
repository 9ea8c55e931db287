"""What to do about an error of a database, in words that the log can have."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["NO_KEY", "advice_for"]

NO_KEY = (
    "the live table has no plain unique key on only the machine code, so a code could get two owners: add "
    "one by a migration (flask aegis-machines doctor checks it)"
)
_DEFERRABLE = "the unique key on the machine code is deferrable: make it NOT DEFERRABLE by a migration"
_OTHER_KEY = (
    "another unique key of the table, or the collation of the machine code, is in the way (flask "
    "aegis-machines doctor checks the collation)"
)
_RIGHTS = (
    "the database user lacks a right, or a row-level policy refuses the row: it must see and lock every code"
)
_RULES = (
    "the table has rules for INSERT, or is a foreign table or a view: bind into a plain table without rules"
)
_TOO_SHORT = "a column of the live table is too short (flask aegis-machines doctor lists it)"
_TYPES = "the type of a column differs between the model and the live table: make them equal"

_BY_CODE: Mapping[int | str | None, str] = {
    1062: _OTHER_KEY,  # duplicate entry
    1142: _RIGHTS,  # command denied for a table
    1143: _RIGHTS,  # command denied for a column
    1406: _TOO_SHORT,  # data too long
    "0A000": _RULES,  # feature_not_supported
    "22001": _TOO_SHORT,  # string_data_right_truncation
    "23505": _OTHER_KEY,  # unique_violation
    "42501": _RIGHTS,  # insufficient_privilege
    "42804": _TYPES,  # datatype_mismatch
    "42883": _TYPES,  # undefined_function: no operator compares the types
    "42P10": NO_KEY,  # invalid_column_reference: no key for ON CONFLICT
}
# SQLite has no codes, and 55000 of PostgreSQL has other meanings too.
_BY_TEXT = {
    "ON CONFLICT clause": NO_KEY,
    "UNIQUE constraint failed": _OTHER_KEY,
    "ON CONFLICT does not support deferrable": _DEFERRABLE,
    "cannot UPSERT a view": _RULES,
}


def advice_for(code: int | str | None, text: str) -> str | None:
    """Return what to do about an error of a database.

    Args:
        code: The number of MySQL or the SQLSTATE of PostgreSQL, if any.
        text: The text of the driver.

    Returns:
        A part of a sentence, or ``None`` where nothing is known.
    """
    found = (advice for start, advice in _BY_TEXT.items() if text.startswith(start))
    return next(found, _BY_CODE.get(code))
