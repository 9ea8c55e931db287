"""The app with the bug put in: its store looks, and then inserts, and no key decides."""

from __future__ import annotations

import os

from flask import Flask
from sqlalchemy import create_engine, insert, text
from sqlalchemy.orm import Session

from flask_aegis_machines import Machine, MachineCodeTaken, User
from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore
from tests.support import models

from .app import DATABASE_VARIABLE, build

ENGINE = create_engine(os.environ[DATABASE_VARIABLE])


class LookThenInsert(SQLAlchemyMachineStore):
    """What a team writes at first."""

    def bind(self, machine: Machine, user: User) -> None:
        if self.owner_of(machine.machine_code) is not None:
            raise MachineCodeTaken
        row = {**vars(machine), "user_id": user.key, "attempt": "", "registered_at": models.NOW}
        with Session(ENGINE) as session:
            session.execute(insert(models.Machine).values(row))
            session.commit()


def create_app() -> Flask:
    """Build the app on the broken store, in a table without its key."""
    app = build(ENGINE, store=LookThenInsert)
    with ENGINE.begin() as connection:
        connection.execute(text("DROP INDEX IF EXISTS ix_machine_machine_code"))
    return app
