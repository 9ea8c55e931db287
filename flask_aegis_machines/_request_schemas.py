"""Which fields a request has, what they may hold, and what is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._errors import AegisSpeedIdMismatch, InvalidAegisSpeedId, InvalidRequest, UserNotFound
from ._records import MACHINE_FIELDS, Machine, User, require_key
from ._validation import Schema, ValidatedDocument

__all__ = [
    "AEGISSPEED_ID",
    "AFTER",
    "LIMIT",
    "LISTING",
    "MACHINE_CODE",
    "MAX_PAGE",
    "REGISTRATION",
    "VERIFICATION",
    "machine_from",
    "machine_from_document",
    "require_user",
]

AEGISSPEED_ID = "user_AegisSpeed_id"
MACHINE_CODE = "machine_code"
LIMIT = "limit"
AFTER = "after"

#: How many machines a page holds: the maximum, and the default.
MAX_PAGE = 100

_AEGISSPEED_ID_RULES = {
    "type": "string",
    "regex": r"[!-~]{9}",
    "meta": {"description": "exactly 9 printable ASCII characters without spaces"},
}
_MACHINE_CODE_RULES = {
    "type": "string",
    "regex": r"[!-~]{32}",
    "meta": {"description": "exactly 32 printable ASCII characters without spaces"},
}
# Only a new binding is refused: an owner may have bound such a code before, and may check and list it.
_NEW_MACHINE_CODE_RULES = {**_MACHINE_CODE_RULES, "check_with": "placeholders"}
# Lists the allowed ranges: the OpenAPI document has this pattern too, and not every dialect of patterns can
# exclude surrogates.
_FACT_RULES = {
    "type": "string",
    "nullable": True,
    "regex": r"[ -~\u00a0-\ud7ff\ue000-" + "\U0010ffff" + "]{0,255}",
    "meta": {"description": "at most 255 characters, without control characters"},
}
_LIMIT_RULES = {"type": "integer", "min": 1, "max": MAX_PAGE, "meta": {"description": "an integer"}}


class _RequestSchema(Schema):
    """The fields of a request. A wrong ``user_AegisSpeed_id`` raises an error of its own."""

    def validate(self, document: Mapping[str, Any]) -> ValidatedDocument:
        """Validate a document, as ``Schema`` does.

        Args:
            document: The parsed body of a request.

        Returns:
            The fields of the document.

        Raises:
            InvalidAegisSpeedId: ``user_AegisSpeed_id`` is missing or ill-formed.
            InvalidRequest: Another field is.
        """
        try:
            return super().validate(document)
        except InvalidRequest as error:
            if AEGISSPEED_ID in error.errors:
                raise InvalidAegisSpeedId from None
            raise


_MACHINE_RULES = {
    name: _NEW_MACHINE_CODE_RULES if name == MACHINE_CODE else _FACT_RULES for name in MACHINE_FIELDS
}
_MACHINE = Schema(_MACHINE_RULES)

REGISTRATION = _RequestSchema({AEGISSPEED_ID: _AEGISSPEED_ID_RULES, **_MACHINE_RULES})
VERIFICATION = _RequestSchema({AEGISSPEED_ID: _AEGISSPEED_ID_RULES, MACHINE_CODE: _MACHINE_CODE_RULES})
LISTING = _RequestSchema(
    {
        AEGISSPEED_ID: _AEGISSPEED_ID_RULES,
        LIMIT: {**_LIMIT_RULES, "required": False},
        AFTER: {**_MACHINE_CODE_RULES, "required": False},
    }
)


def machine_from(document: ValidatedDocument) -> Machine:
    """Make the machine of a validated document.

    Args:
        document: What ``REGISTRATION`` has validated.

    Returns:
        The machine, not bound to a user. A fact that is ``null`` becomes an empty string.
    """
    fields: dict[str, Any] = {name: document[name] or "" for name in MACHINE_FIELDS}
    return Machine(**fields)


def machine_from_document(document: Mapping[str, Any]) -> Machine:
    """Make a machine by the rules of a registration request, for work outside of a request.

    The stores check nothing: pass them machines from here.

    Args:
        document: ``machine_code`` and the ten facts, as in a request. Other fields are ignored.

    Returns:
        The machine, not bound to a user. A fact that is ``None`` becomes an empty string.

    Raises:
        InvalidRequest: A field is missing or ill-formed. ``errors`` has messages by field, without values.
    """
    if not isinstance(document, Mapping):
        raise InvalidRequest({"body": ["must be a JSON object"]})
    return machine_from(_MACHINE.validate(document))


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
        StoreFailure: The user has no key.
    """
    if user is None:
        raise UserNotFound
    require_key(user.key)
    if user.aegisspeed_id != aegisspeed_id:
        raise AegisSpeedIdMismatch
    return user
