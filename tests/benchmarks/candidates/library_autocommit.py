"""The library on an engine of its own in autocommit, as the documentation has it for a distant database."""

from __future__ import annotations

import os

from flask import Flask
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from flask_aegis_machines.identity import Authenticate, jwt_identity
from tests.benchmarks.contract import DATABASE_VARIABLE

from . import library


def create_app(authenticate: Authenticate = jwt_identity) -> Flask:
    """Build the app."""
    engine = create_engine(
        os.environ[DATABASE_VARIABLE], isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True
    )
    return library.create_app(authenticate, sessionmaker(engine))
