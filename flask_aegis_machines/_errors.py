"""What can go wrong, as one tree, and every answer that the blueprint gives, as one table.

    AegisMachinesError
    ├── ConfigurationError           the host set something up wrongly; the message says what to do
    ├── StoreFailure                 a store could not do its work; answered as 10005
    └── Refusal                      an expected "no", with the answer that it gets
        ├── EndpointClosed           10001
        ├── InvalidAegisSpeedId      10002
        ├── UserNotFound             10003
        ├── MachineCodeTaken         10004
        ├── AegisSpeedIdMismatch     10006
        ├── InvalidRequest           10400
        ├── Unauthorized             10401
        ├── PayloadTooLarge          10413
        └── UnsupportedContentType   10415

No exception of this tree carries a field's value, an ID number or a token in its text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

__all__ = [
    "ANSWERS",
    "AVAILABLE",
    "CLOSED",
    "INTERNAL_ERROR",
    "INVALID_ID",
    "INVALID_REQUEST",
    "MISMATCH",
    "NO_USER",
    "REGISTERED",
    "RETRIEVED",
    "TAKEN",
    "TOO_LARGE",
    "TOO_MANY_REQUESTS",
    "UNAUTHORIZED",
    "UNSUPPORTED_TYPE",
    "AegisMachinesError",
    "AegisSpeedIdMismatch",
    "Answer",
    "ConfigurationError",
    "EndpointClosed",
    "InvalidAegisSpeedId",
    "InvalidRequest",
    "MachineCodeTaken",
    "PayloadTooLarge",
    "Refusal",
    "StoreFailure",
    "Unauthorized",
    "UnsupportedContentType",
    "UserNotFound",
]


class Answer(NamedTuple):
    """The fixed part of an answer: HTTP status, registration code and the text of ``result``."""

    status: int
    code: str
    result: str


# 1000x: the API document, to the letter. 10 + HTTP status: what the document is silent about.
REGISTERED = Answer(200, "10000", "Machine registered successfully")
AVAILABLE = Answer(200, "10000", "Machine code is available")
RETRIEVED = Answer(200, "10000", "User machine information retrieved")
CLOSED = Answer(403, "10001", "Server has not opened this endpoint")
INVALID_ID = Answer(400, "10002", "Invalid user AegisSpeed ID")
NO_USER = Answer(404, "10003", "User does not exist")
TAKEN = Answer(409, "10004", "Machine code already registered")
INTERNAL_ERROR = Answer(500, "10005", "Registration failed, server internal error")
MISMATCH = Answer(403, "10006", "User AegisSpeed ID does not match")
INVALID_REQUEST = Answer(400, "10400", "Invalid request")
UNAUTHORIZED = Answer(401, "10401", "Missing or invalid token")
TOO_LARGE = Answer(413, "10413", "Request body too large")
UNSUPPORTED_TYPE = Answer(415, "10415", "Content-Type must be application/json")
TOO_MANY_REQUESTS = Answer(429, "10429", "Too many requests")

ANSWERS: tuple[Answer, ...] = (
    REGISTERED,
    AVAILABLE,
    RETRIEVED,
    CLOSED,
    INVALID_ID,
    NO_USER,
    TAKEN,
    INTERNAL_ERROR,
    MISMATCH,
    INVALID_REQUEST,
    UNAUTHORIZED,
    TOO_LARGE,
    UNSUPPORTED_TYPE,
    TOO_MANY_REQUESTS,
)


class AegisMachinesError(Exception):
    """The root of everything that this package raises."""


class ConfigurationError(AegisMachinesError):
    """Something is set up wrongly; the message says what to do."""


class StoreFailure(AegisMachinesError):
    """A store could not do its work. The text names the failure's kind, never a value."""


class Refusal(AegisMachinesError):
    """An expected "no": a request that is answered, not a fault."""

    answer: ClassVar[Answer]

    @property
    def data(self) -> dict[str, object]:
        """Return what goes into ``data`` of the answer.

        Returns:
            An empty dictionary, unless the refusal has more to say.

        Raises:
            Nothing.
        """
        return {}


class EndpointClosed(Refusal):
    """The host has closed this endpoint."""

    answer = CLOSED


class InvalidAegisSpeedId(Refusal):
    """``user_AegisSpeed_id`` is missing or not 9 printable ASCII characters without spaces."""

    answer = INVALID_ID


class UserNotFound(Refusal):
    """No user has the identity that the token names."""

    answer = NO_USER


class MachineCodeTaken(Refusal):
    """The machine code is bound already: a committed row with exactly that code was read.

    Args:
        by_same_user: Whether the code is bound, durably, to the very user who asked for it again.
    """

    answer = TAKEN

    def __init__(self, *, by_same_user: bool = False) -> None:
        super().__init__(TAKEN.result)
        self.by_same_user = by_same_user


class AegisSpeedIdMismatch(Refusal):
    """The AegisSpeed ID in the body is not that of the token's user."""

    answer = MISMATCH


class InvalidRequest(Refusal):
    """The body is not a JSON object, or one of its fields is missing or ill-formed.

    Args:
        errors: Messages by field; ``body`` stands for the body as a whole. Never a value.
    """

    answer = INVALID_REQUEST

    def __init__(self, errors: Mapping[str, list[str]]) -> None:
        super().__init__(INVALID_REQUEST.result)
        self.errors = dict(errors)

    @property
    def data(self) -> dict[str, object]:
        """Return the messages by field.

        Returns:
            ``{"errors": {field: [message, …]}}``.

        Raises:
            Nothing.
        """
        return {"errors": self.errors}


class Unauthorized(Refusal):
    """The token is missing, malformed, expired, revoked or of the wrong type."""

    answer = UNAUTHORIZED


class PayloadTooLarge(Refusal):
    """The body is longer than 16 KiB, or than the host allows."""

    answer = TOO_LARGE


class UnsupportedContentType(Refusal):
    """The Content-Type is not ``application/json``."""

    answer = UNSUPPORTED_TYPE
