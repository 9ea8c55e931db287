"""flask-smorest with marshmallow's schemas; it inserts through the session and catches the key's error."""

from __future__ import annotations

import os
import uuid
from datetime import datetime, timezone
from typing import Any

from flask import Flask, jsonify
from flask_jwt_extended import JWTManager, get_jwt_identity, jwt_required
from flask_smorest import Api, Blueprint
from marshmallow import EXCLUDE, Schema, fields, validate
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

blueprint = Blueprint("machines", __name__)


def text(shortest: int, longest: int, **options: Any) -> fields.String:
    return fields.String(required=True, validate=validate.Length(shortest, longest), **options)


class MachineSchema(Schema):
    """The body of a registration."""

    class Meta:
        unknown = EXCLUDE

    aegisspeed_id = text(9, 9, data_key="user_AegisSpeed_id")
    machine_code = text(32, 32)
    windows_uuid = text(1, 255)
    windows_product_id = text(1, 255)
    machine_os_name = text(1, 255)
    machine_os_version = text(1, 255)
    machine_architecture = text(1, 255)
    machine_architecture_type = text(1, 255)
    machine_platform = text(1, 255)
    machine_cpu = text(1, 255)
    machine_motherboard = text(1, 255)
    machine_mac_address = text(1, 255)


class DataSchema(Schema):
    """What a successful answer tells."""

    machine_code = fields.String()
    user_id = fields.String()


class AnswerSchema(Schema):
    """A successful answer."""

    status = fields.Integer()
    code = fields.String()
    result = fields.String()
    data = fields.Nested(DataSchema)


def create_app() -> Flask:
    """Build the app."""
    app = Flask(__name__)
    app.config.update(API_TITLE="Machines", API_VERSION="1", OPENAPI_VERSION="3.0.3")
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ[DATABASE_VARIABLE]
    app.config["JWT_SECRET_KEY"] = SECRET
    db.init_app(app)
    jwt = JWTManager(app)
    jwt.unauthorized_loader(lambda reason: refuse(UNAUTHORIZED))
    app.register_error_handler(422, refuse_fields)
    Api(app).register_blueprint(blueprint)
    return app


def refuse(answer: Answer, data: dict[str, Any] | None = None) -> Any:
    response = jsonify(envelope(answer, data))
    response.status_code = answer.status
    return response


def refuse_fields(error: Any) -> Any:
    return refuse(INVALID_REQUEST, {"errors": error.data["messages"]["json"]})


@blueprint.route(REGISTER.path, methods=["POST"])
@jwt_required()
@blueprint.arguments(MachineSchema)
@blueprint.response(200, AnswerSchema)
def register(document: dict[str, str]) -> Any:
    user = db.session.get(User, int(get_jwt_identity()))
    if user is None:
        return refuse(NO_USER)
    if user.aegisspeed_id != document["aegisspeed_id"]:
        return refuse(MISMATCH)
    data = {"machine_code": document["machine_code"], "user_id": redact(user.id_number)}
    db.session.add(
        Machine(
            **{name: document[name] for name in MACHINE_FIELDS},
            user_id=user.id,
            registered_at=datetime.now(timezone.utc),
            attempt=uuid.uuid4().hex,
        )
    )
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        return refuse(TAKEN)
    return envelope(REGISTERED, data)
