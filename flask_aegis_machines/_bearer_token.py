"""Reads the token from the ``Authorization`` header of the current request."""

from __future__ import annotations

from flask import request

__all__ = ["bearer_token"]


def bearer_token() -> str | None:
    """Return the token of ``Authorization: Bearer <token>``, or ``None`` if the header is malformed."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and token and " " not in token else None
