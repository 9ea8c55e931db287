"""Signing in and out: a password for a token, a blocklist of tokens, and a user look-up, in the database."""

from __future__ import annotations

import secrets
from typing import Any
from uuid import UUID

from flask import Blueprint, abort, request
from flask.typing import ResponseReturnValue
from flask_jwt_extended import JWTManager, create_access_token, current_user, get_jwt, jwt_required
from sqlalchemy import select
from werkzeug.security import check_password_hash, generate_password_hash

from .models import RevokedToken, User, db

blueprint = Blueprint("accounts", __name__)
jwt = JWTManager()

# Checked where there is no user, so that the time of a response does not show which accounts exist.
_NOBODYS_HASH = generate_password_hash(secrets.token_hex())


@jwt.user_identity_loader
def identity_of(user: User) -> str:
    """Return what a token carries of its user."""
    return str(user.id)


@jwt.token_in_blocklist_loader
def is_revoked(header: dict[str, Any], claims: dict[str, Any]) -> bool:
    """Return whether the user of a token has signed out with it."""
    return db.session.scalar(select(RevokedToken.id).where(RevokedToken.jti == claims["jti"])) is not None


@jwt.user_lookup_loader
def find_user(header: dict[str, Any], claims: dict[str, Any]) -> User | None:
    """Return the user of a token, as ``current_user``."""
    return db.session.get(User, UUID(claims["sub"]))


@blueprint.post("/login")
def login() -> ResponseReturnValue:
    """Exchange an e-mail address and a password for an access token."""
    user = db.session.scalar(select(User).where(User.email == request.form["email"]))
    hashed = user.password_hash if user else _NOBODYS_HASH
    if not check_password_hash(hashed, request.form["password"]) or user is None:
        abort(401, "Wrong e-mail address or password.")
    return {"access_token": create_access_token(user)}


@blueprint.post("/logout")
@jwt_required()
def logout() -> ResponseReturnValue:
    """Revoke the token of this request."""
    db.session.add(RevokedToken(organisation_id=current_user.organisation_id, jti=get_jwt()["jti"]))
    db.session.commit()
    return "", 204
