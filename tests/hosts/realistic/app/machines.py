"""The machine endpoints: who may bind a machine, how many, and what is written down of it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.engine import Connection

from flask_aegis_machines import (
    Answer,
    Machine,
    Refusal,
    User,
    UserNotFound,
    create_blueprint,
    ending_session,
    jwt_identity,
)
from flask_aegis_machines.stores.sqlalchemy import SQLAlchemyMachineStore, SQLAlchemyUserStore

from . import models
from .models import db

MACHINES_PER_USER = 5


class TooManyMachines(Refusal):
    """The user has as many machines as they may have."""

    answer = Answer(403, "20001", "Machine limit reached")


def columns_of_tenant(machine: Machine, user: User) -> dict[str, Any]:
    """Return the values of our own columns of a new machine: those of its owner."""
    owner = select(models.User.organisation_id).where(models.User.id == user.key)
    return {"organisation_id": owner.scalar_subquery()}  # evaluated by the INSERT


def check_and_audit(connection: Connection, machine: Machine, user: User) -> None:
    """Refuse what our rules forbid, and write down what they allow, in the transaction of the INSERT."""
    # The lock lets the user bind one machine at a time: without it two requests would not see each other's
    # machine, and both would be within the limit. With key_share it is FOR NO KEY UPDATE, which does not
    # conflict with the lock that a foreign key to the user takes: a plain FOR UPDATE would deadlock.
    owner = connection.execute(
        select(models.User.organisation_id, models.User.is_active)
        .where(models.User.id == user.key)
        .with_for_update(key_share=True)
    ).one()
    if not owner.is_active:  # deactivated since the look-up
        raise UserNotFound
    # With the new machine, and after the lock: in READ COMMITTED, the default, the query sees all that was
    # committed before.
    machines = select(func.count()).where(models.Machine.user_id == user.key)
    if connection.execute(machines).scalar_one() > MACHINES_PER_USER:
        raise TooManyMachines
    connection.execute(
        insert(models.AuditEntry).values(
            organisation_id=owner.organisation_id,
            user_id=user.key,
            action="machine.bind",
            subject=machine.machine_code,
        )
    )


user_store = SQLAlchemyUserStore(
    db.session,
    models.User,
    identity="id",
    aegisspeed_id="aegisspeed_id",
    id_number="id_number",
    where=models.User.is_active,
)
machine_store = SQLAlchemyMachineStore(
    db.session, models.Machine, within=check_and_audit, values=columns_of_tenant
)
blueprint = create_blueprint(
    users=user_store,
    machines=machine_store,
    # The blocklist and the user look-up read the database in db.session, which must not stay open.
    authenticate=ending_session(jwt_identity, db.session),
    refusals=[TooManyMachines],
)
