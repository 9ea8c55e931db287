"""Which fields a request has, and what they may hold."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Mapping
from typing import Any, ClassVar

from cerberus import TypeDefinition, Validator

from ._errors import AegisSpeedIdMismatch, InvalidAegisSpeedId, InvalidRequest, UserNotFound
from ._records import MACHINE_FIELDS, Machine, User

__all__ = [
    "AEGISSPEED_ID",
    "AFTER",
    "LIMIT",
    "LISTING",
    "MACHINE_CODE",
    "MAX_PAGE",
    "REGISTRATION",
    "VERIFICATION",
    "Schema",
    "ValidatedDocument",
    "machine_from",
    "require_user",
]

AEGISSPEED_ID = "user_AegisSpeed_id"
MACHINE_CODE = "machine_code"
LIMIT = "limit"
AFTER = "after"

#: How many machines a page holds at most, and unless a client asks for fewer.
MAX_PAGE = 100

# Broken clients send one character 32 times, or one of these hashes, in place of a code; whoever came first
# would own it for ever.
_HASHES_OF_NOTHING = [
    hashlib.md5(text, usedforsecurity=False).hexdigest() for text in (b"", b"None", b"null", b"undefined")
]
# No inline flag for either case: the pattern is in the OpenAPI document as well, for JSON Schema.
_NO_MACHINE = r"(.)\1{31}|" + re.sub(
    "[a-f]", lambda letter: f"[{letter[0]}{letter[0].upper()}]", "|".join(_HASHES_OF_NOTHING)
)

# In full, and the characters of a fact as ranges of what is allowed: the OpenAPI document has these patterns,
# too, and dialects differ in what white space is (U+FEFF), and in whether a pattern may name surrogates.
_ONLY_WHITE_SPACE = r"[ \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]+"


_AEGISSPEED_ID_RULES = {
    "type": "string",
    "regex": r"[!-~]{9}",
    "meta": {"description": "exactly 9 printable ASCII characters without spaces"},
}
_MACHINE_CODE_RULES = {
    "type": "string",
    "regex": r"[!-~]{32}",
    "unlike": _NO_MACHINE,
    "meta": {
        "description": "exactly 32 printable ASCII characters without spaces",
        "unlike": "does not identify a machine",
    },
}
_FACT = "1 to 255 characters, not only white space, without control characters"
_FACT_RULES = {
    "type": "string",
    "regex": r"[ -~\u00a0-\ud7ff\ue000-" + "\U0010ffff" + "]{1,255}",
    "unlike": _ONLY_WHITE_SPACE,
    "meta": {"description": _FACT, "unlike": f"must be {_FACT}"},
}
_LIMIT_RULES = {"type": "integer", "min": 1, "max": MAX_PAGE, "meta": {"description": "an integer"}}


class _Validator(Validator):  # type: ignore[misc]  # Cerberus ships no types
    """Cerberus with patterns that mean the whole value, and with integers that are no bools."""

    types_mapping: ClassVar = {
        **Validator.types_mapping,
        "integer": TypeDefinition("integer", (int,), (bool,)),
    }

    def _validate_regex(self, pattern: str, field: str, value: str) -> None:
        """{'type': 'string'}"""
        if not re.fullmatch(pattern, value):
            self._error(field, f"must be {self.schema[field]['meta']['description']}")

    def _validate_unlike(self, pattern: str, field: str, value: str) -> None:
        """{'type': 'string'}"""
        if isinstance(value, str) and re.fullmatch(pattern, value):  # Cerberus calls this for null, too
            self._error(field, self.schema[field]["meta"]["unlike"])


class ValidatedDocument:
    """The checked fields of one request; its repr, and so no traceback, shows a value."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Return an optional field.

        Args:
            name: Name of the field.
            default: Returned where the field is missing.

        Returns:
            Its value, or the default.
        """
        return self._values.get(name, default)

    def __repr__(self) -> str:
        return "<ValidatedDocument, values withheld>"


def _patterns_of(schema: Mapping[str, Mapping[str, Any]]) -> dict[str, re.Pattern[str]]:
    """Return all that a schema asks for as one pattern for each field; none where it asks for more."""
    if any(not rules["required"] or rules["type"] != "string" for rules in schema.values()):
        return {}
    never = "(?!)"
    return {
        name: re.compile(rf"(?!(?:{rules.get('unlike', never)})\Z){rules['regex']}")
        for name, rules in schema.items()
    }


class Schema:
    """The fields of one kind of request. Many threads may validate documents at once.

    Args:
        rules: The rules of Cerberus by field. A field is required unless its rules say otherwise.
    """

    def __init__(self, rules: Mapping[str, Mapping[str, object]]) -> None:
        self.rules = {name: {"required": True, **field_rules} for name, field_rules in rules.items()}
        self._patterns = _patterns_of(self.rules)
        # A Validator holds the document that it checks, so no two threads may share one. Making one costs
        # more than using it, so those that are idle wait here: append and pop of a deque are atomic.
        self._idle: deque[Validator] = deque([self._new_validator()])

    def validate(self, document: Mapping[str, Any]) -> ValidatedDocument:
        """Validate a document. Fields that the schema does not have are ignored.

        Args:
            document: The parsed body of a request.

        Returns:
            The fields of the document.

        Raises:
            InvalidAegisSpeedId: ``user_AegisSpeed_id`` is missing or ill-formed.
            InvalidRequest: Another field is; the error has a message for each.
        """
        if self._is_plainly_valid(document):
            return ValidatedDocument(document)
        try:
            validator = self._idle.pop()
        except IndexError:
            validator = self._new_validator()
        try:
            valid = validator.validate(document, normalize=False)
            errors: dict[str, list[str]] = {} if valid else validator.errors
        finally:
            validator.validate({}, update=True, normalize=False)  # keeps no values while it waits
            self._idle.append(validator)
        if AEGISSPEED_ID in errors:
            raise InvalidAegisSpeedId
        if errors:
            raise InvalidRequest(errors)
        return ValidatedDocument(document)

    def _is_plainly_valid(self, document: Mapping[str, Any]) -> bool:
        """Return whether every field matches its pattern. Cerberus checks the documents that fail here."""
        for name, pattern in self._patterns.items():
            value = document.get(name)
            if not isinstance(value, str) or not pattern.fullmatch(value):
                return False
        return bool(self._patterns)

    def _new_validator(self) -> Validator:
        return _Validator(self.rules, allow_unknown=True)


REGISTRATION = Schema(
    {
        AEGISSPEED_ID: _AEGISSPEED_ID_RULES,
        **{name: _MACHINE_CODE_RULES if name == MACHINE_CODE else _FACT_RULES for name in MACHINE_FIELDS},
    }
)
VERIFICATION = Schema({AEGISSPEED_ID: _AEGISSPEED_ID_RULES, MACHINE_CODE: _MACHINE_CODE_RULES})
LISTING = Schema(
    {
        AEGISSPEED_ID: _AEGISSPEED_ID_RULES,
        LIMIT: {**_LIMIT_RULES, "required": False},
        AFTER: {**_MACHINE_CODE_RULES, "required": False},
    }
)


def machine_from(document: ValidatedDocument) -> Machine:
    """Make the machine of a registration.

    Args:
        document: What ``REGISTRATION`` has validated.

    Returns:
        The machine, not bound to a user.
    """
    return Machine(**{name: document[name] for name in MACHINE_FIELDS})


def require_user(user: User | None, aegisspeed_id: str) -> User:
    """Require that the token's user exists and has the AegisSpeed ID of the request.

    There is one look-up, by the token's identity: another user's ID is refused whether or not it exists.

    Args:
        user: The user who has the token's identity, if any.
        aegisspeed_id: The ID in the request.

    Returns:
        The user.

    Raises:
        UserNotFound: There is none.
        AegisSpeedIdMismatch: The user has another AegisSpeed ID.
    """
    if user is None:
        raise UserNotFound
    if user.aegisspeed_id != aegisspeed_id:
        raise AegisSpeedIdMismatch
    return user
