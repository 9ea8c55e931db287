"""The exceptions of this package.

    AegisMachinesError
    ├── ConfigurationError           the app is set up wrongly; the message says what to do
    ├── StoreFailure                 a store failed; answered as 10005
    ├── UnexpectedError              reported in place of any other exception that was answered as 10005
    └── Refusal                      an expected refusal, with its answer
        ├── EndpointClosed           10001
        ├── InvalidAegisSpeedId      10002
        ├── UserNotFound             10003
        ├── MachineCodeTaken         10004
        ├── AegisSpeedIdMismatch     10006
        ├── InvalidRequest           10400
        ├── Unauthorized             10401
        ├── PayloadTooLarge          10413
        └── UnsupportedContentType   10415

No exception of this tree has a field's value, an ID number or a token in its text. All can be pickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from . import _answers
from ._answers import Answer

__all__ = [
    "AegisMachinesError",
    "AegisSpeedIdMismatch",
    "ConfigurationError",
    "EndpointClosed",
    "InvalidAegisSpeedId",
    "InvalidRequest",
    "MachineCodeTaken",
    "PayloadTooLarge",
    "Refusal",
    "StoreFailure",
    "Unauthorized",
    "UnexpectedError",
    "UnsupportedContentType",
    "UserNotFound",
]


class AegisMachinesError(Exception):
    """The base class of all exceptions of this package."""

    def __reduce__(self) -> tuple[object, ...]:
        # Pickle would call the class with the text, which is not what all of them take.
        return _restore, (type(self), self.args), self.__dict__


class ConfigurationError(AegisMachinesError):
    """Something is set up wrongly; the message says what to do."""


class StoreFailure(AegisMachinesError):
    """A store failed. The text names the kind of failure, never a value."""


class UnexpectedError(AegisMachinesError):
    """Any other failure. The text has the classes, files and lines of the exceptions that led to it."""


class Refusal(AegisMachinesError):
    """A request is refused, as expected: an answer to the client, not a fault.

    Subclass it to define a refusal of your app, with its answer, and raise it from a hook, a store or
    ``authenticate``. Pass the class to ``create_blueprint(refusals=[…])`` for the OpenAPI document.
    """

    #: HTTP status, code and text of the answer.
    answer: ClassVar[Answer]

    @property
    def data(self) -> dict[str, object]:
        """Return what goes into ``data`` of the answer; an empty dictionary by default."""
        return {}


class EndpointClosed(Refusal):
    """The host has closed this endpoint."""

    answer = _answers.CLOSED


class InvalidAegisSpeedId(Refusal):
    """``user_AegisSpeed_id`` is missing or not 9 printable ASCII characters without spaces."""

    answer = _answers.INVALID_ID


class UserNotFound(Refusal):
    """No user has the identity in the token."""

    answer = _answers.NO_USER


class MachineCodeTaken(Refusal):
    """The machine code is bound already: a committed row with exactly that code was read.

    Args:
        by_same_user: Whether the code is bound to the user who asked for it again.
    """

    answer = _answers.TAKEN

    def __init__(self, *, by_same_user: bool = False) -> None:
        super().__init__(self.answer.result)
        self.by_same_user = by_same_user


class AegisSpeedIdMismatch(Refusal):
    """The AegisSpeed ID in the body is not that of the token's user."""

    answer = _answers.MISMATCH


class InvalidRequest(Refusal):
    """The body is not a JSON object, or one of its fields is missing or ill-formed.

    Args:
        errors: Messages by field; ``body`` stands for the body as a whole. Never a value.
    """

    answer = _answers.INVALID_REQUEST

    def __init__(self, errors: Mapping[str, list[str]]) -> None:
        super().__init__(self.answer.result)
        self.errors = dict(errors)

    @property
    def data(self) -> dict[str, object]:
        """Return ``{"errors": {field: [message, …]}}``."""
        return {"errors": self.errors}


class Unauthorized(Refusal):
    """The token is missing, malformed, expired, revoked or of the wrong type."""

    answer = _answers.UNAUTHORIZED


class PayloadTooLarge(Refusal):
    """The body is longer than 16 KiB, or than the host allows."""

    answer = _answers.TOO_LARGE


class UnsupportedContentType(Refusal):
    """The Content-Type is not ``application/json``."""

    answer = _answers.UNSUPPORTED_TYPE


def _restore(kind: type[AegisMachinesError], args: tuple[object, ...]) -> AegisMachinesError:
    return kind.__new__(kind, *args)
