"""Every answer of the endpoints: HTTP status, code and text, in one table."""

from __future__ import annotations

from typing import NamedTuple

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
