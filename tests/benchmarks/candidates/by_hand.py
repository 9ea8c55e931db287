"""What a team writes from the tutorials of the packages that the library builds on.

It looks for the code, inserts through the session, and catches the error of the key. As in the tutorials, the
answer is made after the commit, so the session loads the user again.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from cerberus import Validator
from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue
from flask_jwt_extended import JWTManager, get_jwt_identity, jwt_required
from sqlalchemy.exc import IntegrityError

from flask_aegis_machines._answers import (
    INVALID_REQUEST,
    MISMATCH,
    NO_USER,
    REGISTERED,
    TAKEN,
    UNAUTHORIZED,
    Answer,
)
from flask_aegis_machines._endpoint_definitions import REGISTER
from flask_aegis_machines._records import MACHINE_FIELDS
from flask_aegis_machines._redaction import redact
from tests.benchmarks.contract import DATABASE_VARIABLE, SECRET, envelope

from .models import Machine, User, db

FACT = {"type": "string", "required": True, "minlength": 1, "maxlength": 255}
SCHEMA = {
    "user_AegisSpeed_id": {"type": "string", "required": True, "minlength": 9, "maxlength": 9},
    **dict.fromkeys(MACHINE_FIELDS, FACT),
    "machine_code": {"type": "string", "required": True, "minlength": 32, "maxlength": 32},
}


def create_app(view: Callable[[], ResponseReturnValue] | None = None) -> Flask:
    """Build the app.

    Args:
        view: Another view than ``register``.
    """
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ[DATABASE_VARIABLE]
    app.config["JWT_SECRET_KEY"] = SECRET
    db.init_app(app)
    jwt = JWTManager(app)
    jwt.unauthorized_loader(lambda reason: respond(UNAUTHORIZED))
    app.add_url_rule(REGISTER.path, view_func=view or register, methods=["POST"])
    return app


def respond(answer: Answer, data: dict[str, Any] | None = None) -> ResponseReturnValue:
    return jsonify(envelope(answer, data)), answer.status


@jwt_required()
def register() -> ResponseReturnValue:
    validator = Validator(SCHEMA, allow_unknown=True)
    if not validator.validate(request.get_json()):
        return respond(INVALID_REQUEST, {"errors": validator.errors})
    fields = validator.document
    user = db.session.get(User, int(get_jwt_identity()))
    if user is None:
        return respond(NO_USER)
    if user.aegisspeed_id != fields["user_AegisSpeed_id"]:
        return respond(MISMATCH)
    if Machine.query.filter_by(machine_code=fields["machine_code"]).first() is not None:
        return respond(TAKEN)
    db.session.add(
        Machine(
            **{name: fields[name] for name in MACHINE_FIELDS},
            user_id=user.id,
            registered_at=datetime.now(timezone.utc),
            attempt=uuid.uuid4().hex,
        )
    )
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        return respond(TAKEN)
    data = {"machine_code": fields["machine_code"], "user_id": redact(user.id_number)}
    return respond(REGISTERED, data)
