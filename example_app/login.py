"""Login: returns an access token for an AegisSpeed ID and a password."""

from __future__ import annotations

import secrets

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue
from flask_jwt_extended import JWTManager, create_access_token
from werkzeug.security import check_password_hash, generate_password_hash

from example_app.models import User, db

blueprint = Blueprint("login", __name__)
jwt = JWTManager()

# Checked if the user does not exist: the response time must not show which AegisSpeed IDs exist.
DUMMY_HASH = generate_password_hash(secrets.token_hex())


@blueprint.post("/login")
def login() -> ResponseReturnValue:
    """Return an access token for the right AegisSpeed ID and password.

    Returns:
        200 with `access_token`, 401 for a wrong AegisSpeed ID or password, or 400 if the body is not a JSON
        object with both as strings.
    """
    credentials = _read_credentials()
    if credentials is None:
        return jsonify(message="Send a JSON object with the strings user_AegisSpeed_id and password."), 400
    aegisspeed_id, password = credentials
    user = _find_user(aegisspeed_id)
    matches = check_password_hash(user.password_hash if user else DUMMY_HASH, password)
    if user is None or not matches:
        return jsonify(message="Wrong AegisSpeed ID or password."), 401
    return jsonify(access_token=create_access_token(identity=str(user.id)))


def _read_credentials() -> tuple[str, str] | None:
    try:
        match request.get_json(silent=True):
            case {"user_AegisSpeed_id": str(aegisspeed_id), "password": str(password)}:
                (aegisspeed_id + password).encode()  # a lone surrogate cannot be hashed
                # A hash does not tell a password from the same with NUL characters at its end.
                return None if "\0" in password else (aegisspeed_id, password)
    except (RecursionError, UnicodeEncodeError):  # RecursionError: JSON nested too deep
        pass
    return None


def _find_user(aegisspeed_id: str) -> User | None:
    if not aegisspeed_id.isprintable():  # PostgreSQL raises on a NUL character
        return None
    user: User | None = db.session.scalar(db.select(User).filter_by(aegisspeed_id=aegisspeed_id))
    # MariaDB ignores blanks at the end.
    return user if user is not None and user.aegisspeed_id == aegisspeed_id else None
