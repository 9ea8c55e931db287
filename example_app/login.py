"""Signing in: an AegisSpeed ID and a password for an access token."""

from __future__ import annotations

import secrets

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue
from flask_jwt_extended import JWTManager, create_access_token
from werkzeug.security import check_password_hash, generate_password_hash

from example_app.models import User, db

blueprint = Blueprint("login", __name__)
jwt = JWTManager()

# Checked where there is no user, so that the time of an answer does not tell which AegisSpeed IDs exist.
NOBODYS_HASH = generate_password_hash(secrets.token_hex())


@blueprint.post("/login")
def login() -> ResponseReturnValue:
    """Answer the right AegisSpeed ID and password with an access token.

    Returns:
        200 with `access_token`; 401 if the two do not belong together; 400 if the body is not a JSON object
        that holds both as strings.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: The database cannot be read.
    """
    credentials = _read_credentials()
    if credentials is None:
        return jsonify(message="Send a JSON object with the strings user_AegisSpeed_id and password."), 400
    aegisspeed_id, password = credentials
    user = _find_user(aegisspeed_id)
    matches = check_password_hash(user.password_hash if user else NOBODYS_HASH, password)
    if user is None or not matches:
        return jsonify(message="Wrong AegisSpeed ID or password."), 401
    return jsonify(access_token=create_access_token(identity=str(user.id)))


def _read_credentials() -> tuple[str, str] | None:
    try:
        match request.get_json(silent=True):
            case {"user_AegisSpeed_id": str(aegisspeed_id), "password": str(password)}:
                (aegisspeed_id + password).encode()  # fails on a lone surrogate, which no hash takes
                return aegisspeed_id, password
    except (RecursionError, UnicodeEncodeError):  # RecursionError: JSON nested too deeply
        pass
    return None


def _find_user(aegisspeed_id: str) -> User | None:
    if not aegisspeed_id.isprintable():  # PostgreSQL fails on a NUL character
        return None
    user: User | None = db.session.scalar(db.select(User).filter_by(aegisspeed_id=aegisspeed_id))
    return user
