"""What a team writes by hand when it knows the traps: the unique key decides, and a failed try is repeated.

Unlike ``by_hand``, it looks for nothing first and loads nothing after the COMMIT. An ``attempt`` shows
whether the row is that of an earlier try, whose reply was lost.
"""

from __future__ import annotations

import random
import time
import uuid
from datetime import datetime, timezone
from typing import Any

from cerberus import Validator
from flask import Flask, request
from flask.typing import ResponseReturnValue
from flask_jwt_extended import get_jwt_identity, jwt_required
from sqlalchemy.exc import IntegrityError, OperationalError

from flask_aegis_machines._answers import INVALID_REQUEST, MISMATCH, NO_USER, REGISTERED, TAKEN
from flask_aegis_machines._records import MACHINE_FIELDS
from flask_aegis_machines._redaction import redact

from . import by_hand
from .by_hand import SCHEMA, respond
from .models import Machine, User, db

TRIES = 3


def create_app() -> Flask:
    """Build the app."""
    return by_hand.create_app(register)


@jwt_required()
def register() -> ResponseReturnValue:
    validator = Validator(SCHEMA, allow_unknown=True)
    if not validator.validate(request.get_json()):
        return respond(INVALID_REQUEST, {"errors": validator.errors})
    fields = validator.document
    identity, attempt = int(get_jwt_identity()), uuid.uuid4().hex
    for left in reversed(range(TRIES)):
        try:
            return bind(fields, identity, attempt)
        except OperationalError:
            db.session.rollback()
            if not left:
                raise
            time.sleep(random.uniform(0, 0.1))
    raise AssertionError("the last try returns or raises")


def bind(fields: dict[str, Any], identity: int, attempt: str) -> ResponseReturnValue:
    user = db.session.get(User, identity)
    if user is None:
        return respond(NO_USER)
    if user.aegisspeed_id != fields["user_AegisSpeed_id"]:
        return respond(MISMATCH)
    data = {"machine_code": fields["machine_code"], "user_id": redact(user.id_number)}
    machine = Machine(
        **{name: fields[name] for name in MACHINE_FIELDS},
        user_id=user.id,
        registered_at=datetime.now(timezone.utc),
        attempt=attempt,
    )
    db.session.add(machine)
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        found = db.session.execute(db.select(Machine.attempt).filter_by(machine_code=data["machine_code"]))
        return respond(REGISTERED, data) if found.scalar_one() == attempt else respond(TAKEN)
    return respond(REGISTERED, data)
