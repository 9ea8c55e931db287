"""Runs the migrations of this folder on the engine of the app, for `flask db`.

Logging stays as the app has configured it: the template of Flask-Migrate disables existing loggers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alembic import context
from flask import current_app
from sqlalchemy.engine import Connection

db = current_app.extensions["migrate"].db


@contextmanager
def foreign_keys_off(connection: Connection) -> Iterator[None]:
    """Turn foreign keys off on SQLite, where a batch migration drops a table and creates it again.

    To drop the table of users with foreign keys on is to delete every user: no machine would keep its owner.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    driver = connection.connection  # below SQLAlchemy: in a transaction the PRAGMA does nothing
    driver.cursor().execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        driver.cursor().execute("PRAGMA foreign_keys = ON")


def is_compared(name: str | None, *_: object) -> bool:
    """Exclude SQLite's own table of the last ids, which SQLAlchemy 1.4 lists, from autogeneration."""
    return name != "sqlite_sequence"


def drop_empty(_context: object, _revision: object, scripts: list[Any]) -> None:
    """Write no migration where ``flask db migrate`` finds no difference."""
    is_generated = getattr(context.config.cmd_opts, "autogenerate", False)
    scripts[:] = [script for script in scripts if not (is_generated and script.upgrade_ops.is_empty())]


if context.is_offline_mode():
    context.configure(url=db.engine.url, target_metadata=db.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    with db.engine.connect() as connection, foreign_keys_off(connection):
        defaults = {"include_name": is_compared, "process_revision_directives": drop_empty}
        options = {**defaults, **current_app.extensions["migrate"].configure_args}  # what Migrate() was given
        context.configure(connection=connection, target_metadata=db.metadata, **options)
        with context.begin_transaction():
            context.run_migrations()
