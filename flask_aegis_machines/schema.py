"""Which fields a request has, and what they may hold."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from cerberus import Validator

from .errors import InvalidAegisSpeedId, InvalidRequest
from .records import MACHINE_FIELDS

__all__ = ["REGISTRATION", "Fields", "Form"]

AEGISSPEED_ID = "user_AegisSpeed_id"
MACHINE_CODE = "machine_code"

# Broken clients send these hashes in place of a code; whoever came first would own them for ever.
_HASHES_OF_NOTHING = frozenset(
    hashlib.md5(text, usedforsecurity=False).hexdigest() for text in (b"", b"None", b"null", b"undefined")
)


def _identifies_a_machine(field: str, value: object, error: Callable[[str, str], None]) -> None:
    # Cerberus calls this for null, too.
    if isinstance(value, str) and (len(set(value)) == 1 or value.lower() in _HASHES_OF_NOTHING):
        error(field, "does not identify a machine")


def _string(pattern: str, description: str, **rules: object) -> dict[str, object]:
    return {
        "type": "string",
        "required": True,
        "regex": pattern,
        "meta": {"description": description},
        **rules,
    }


_AEGISSPEED_ID_RULES = _string(r"[!-~]{9}", "exactly 9 printable ASCII characters without spaces")
_MACHINE_CODE_RULES = _string(
    r"[!-~]{32}",
    "exactly 32 printable ASCII characters without spaces",
    check_with=_identifies_a_machine,
)
_FACT_RULES = _string(
    r"(?=.*\S)[^\u0000-\u001f\u007f-\u009f\ud800-\udfff]{1,255}",
    "1 to 255 characters, not only white space, without control characters",
)


class _Validator(Validator):  # type: ignore[misc]  # Cerberus ships no types
    """Cerberus with a ``regex`` that means the whole value, a line feed at its end included."""

    def _validate_regex(self, pattern: str, field: str, value: str) -> None:
        """{'type': 'string'}"""
        if not re.fullmatch(pattern, value):
            self._error(field, f"must be {self.schema[field]['meta']['description']}")


class Fields:
    """The checked fields of one request; no repr, and so no traceback, shows their values."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __repr__(self) -> str:
        return "<Fields, values withheld>"


class Form:
    """The fields of one endpoint, against which many threads may check documents at once.

    Args:
        schema: The Cerberus schema, checked when the form is made.
    """

    def __init__(self, schema: Mapping[str, Mapping[str, object]]) -> None:
        self.schema = schema
        # A Validator holds the document that it checks, so no two threads may share one. Making one costs
        # more than using it, so those that are idle wait here: append and pop of a deque are atomic.
        self._idle: deque[Validator] = deque([self._new_validator()])

    def _new_validator(self) -> Validator:
        return _Validator(self.schema, allow_unknown=True)

    def check(self, document: Mapping[str, Any]) -> Fields:
        """Check a document; fields that the form does not know are ignored.

        Args:
            document: The parsed body of a request.

        Returns:
            The fields of the document.

        Raises:
            InvalidAegisSpeedId: ``user_AegisSpeed_id`` is missing or ill-formed.
            InvalidRequest: Another field is; the error has a message for each.
        """
        try:
            validator = self._idle.pop()
        except IndexError:
            validator = self._new_validator()
        try:
            valid = validator.validate(document, normalize=False)
            errors: dict[str, list[str]] = {} if valid else validator.errors
        finally:
            self._idle.append(validator)
        if AEGISSPEED_ID in errors:
            raise InvalidAegisSpeedId
        if errors:
            raise InvalidRequest(errors)
        return Fields(document)


REGISTRATION = Form(
    {
        AEGISSPEED_ID: _AEGISSPEED_ID_RULES,
        **{name: _MACHINE_CODE_RULES if name == MACHINE_CODE else _FACT_RULES for name in MACHINE_FIELDS},
    }
)
