"""The library on an engine in autocommit, with tokens read by PyJWT."""

from __future__ import annotations

from flask import Flask

from flask_aegis_machines import bearer

from . import library_autocommit
from .library_bearer import verify


def create_app() -> Flask:
    """Build the app."""
    return library_autocommit.create_app(bearer(verify))
