"""The example with the bug put in: its store looks, and then inserts, and no key decides."""

from __future__ import annotations

from unittest.mock import patch

from flask import Flask
from sqlalchemy import text

import example_app
from example_app.models import Machine as Model
from example_app.models import db
from flask_aegis_machines import Machine, MachineCodeTaken, User
from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore


class LookThenInsert(SQLAlchemyMachineStore):
    """What a team writes at first."""

    def bind(self, machine: Machine, user: User) -> None:
        if self.owner_of(machine.machine_code) is not None:
            raise MachineCodeTaken
        row = {**vars(machine), "user_id": user.key, "attempt": "", "registered_at": "2026-01-01"}
        db.session.execute(db.insert(Model).values(row))
        db.session.commit()


def create_app() -> Flask:
    """Build the example on the broken store, in a table without its key."""
    with patch.object(example_app, "SQLAlchemyMachineStore", LookThenInsert):
        app = example_app.create_app()
    with app.app_context():
        db.session.execute(text("DROP INDEX IF EXISTS ix_machine_machine_code"))
        db.session.commit()
        db.session.remove()
        db.engine.dispose()  # the workers that are forked from here must not share a connection
    return app
