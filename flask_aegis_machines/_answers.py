"""Every answer of the endpoints: HTTP status, code and text, in one table."""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "ANSWERS",
    "BOUND",
    "BOUND_TO_USER",
    "CLOSED",
    "INTERNAL_ERROR",
    "INVALID_ID",
    "INVALID_REQUEST",
    "LIST_FAILED",
    "MISMATCH",
    "NOT_BOUND",
    "NO_USER",
    "REGISTERED",
    "RETRIEVED",
    "TAKEN",
    "TOO_LARGE",
    "TOO_MANY_REQUESTS",
    "UNAUTHORIZED",
    "UNSUPPORTED_TYPE",
    "VERIFY_FAILED",
    "VERIFY_NO_USER",
    "Answer",
]


class Answer(NamedTuple):
    """The fixed part of an answer.

    Args:
        status: HTTP status.
        code: Code of the outcome, such as ``"10004"``.
        result: What the code means, in a few words.
    """

    status: int
    code: str
    result: str


# A new error also goes into _errors.py (its refusal) and _endpoint_definitions.py (which endpoints give it).
# The codes 10000 to 10006 and their texts are those of the API document and its neighbours, to the letter.
# The others are ours: 10, then the HTTP status. What a code means depends on the status and the endpoint.
REGISTERED = Answer(200, "10000", "Machine registered successfully")
NOT_BOUND = Answer(200, "10000", "Machine code not bound")
BOUND_TO_USER = Answer(200, "10002", "Machine code already bound to this user")
BOUND = Answer(200, "10003", "Machine code already bound")
RETRIEVED = Answer(200, "10000", "User machine information retrieved")
CLOSED = Answer(403, "10001", "Server has not opened this endpoint")
INVALID_ID = Answer(400, "10002", "Invalid user AegisSpeed ID")
NO_USER = Answer(404, "10003", "User does not exist")
VERIFY_NO_USER = Answer(404, "10404", "User does not exist")  # 10003 means "bound" there
TAKEN = Answer(409, "10004", "Machine code already registered")
INTERNAL_ERROR = Answer(500, "10005", "Registration failed, server internal error")
VERIFY_FAILED = Answer(500, "10005", "Verification failed, server internal error")
LIST_FAILED = Answer(500, "10005", "Failed to get user machine information, server internal error")
MISMATCH = Answer(403, "10006", "User AegisSpeed ID does not match")
INVALID_REQUEST = Answer(400, "10400", "Invalid request")
UNAUTHORIZED = Answer(401, "10401", "Missing or invalid token")
TOO_LARGE = Answer(413, "10413", "Request body too large")
UNSUPPORTED_TYPE = Answer(415, "10415", "Content-Type must be application/json")
TOO_MANY_REQUESTS = Answer(429, "10429", "Too many requests")

ANSWERS: tuple[Answer, ...] = tuple(each for each in list(globals().values()) if isinstance(each, Answer))
