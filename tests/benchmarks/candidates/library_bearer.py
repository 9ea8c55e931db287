"""The library, with tokens read by PyJWT alone: once, where Flask-JWT-Extended reads each four times."""

from __future__ import annotations

import jwt
from flask import Flask

from flask_aegis_machines import bearer
from tests.benchmarks.contract import SECRET

from . import library


def create_app() -> Flask:
    """Build the app."""
    return library.create_app(bearer(verify))


def verify(token: str) -> object | None:
    try:
        claims = jwt.decode(token, SECRET, algorithms=["HS256"])
    except jwt.InvalidTokenError:
        return None
    return claims["sub"] if claims["type"] == "access" else None
