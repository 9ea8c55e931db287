"""What is wrong with the token system of a host, in sentences that say what to do."""

from __future__ import annotations

from flask import Flask

__all__ = ["problems_of_jwt", "problems_of_keys", "problems_of_login"]


def problems_of_jwt(app: Flask) -> list[str]:
    """Tell what keeps Flask-JWT-Extended from reading any token.

    Args:
        app: The host.

    Returns:
        A sentence where something does.

    Raises:
        Nothing.
    """
    if "flask-jwt-extended" not in app.extensions:
        return [
            "This app has no JWTManager: call flask_jwt_extended.JWTManager(app), "
            "or pass authenticate=… to create_blueprint() for another kind of token."
        ]
    header, scheme = (app.config.get(f"JWT_HEADER_{part}") for part in ("NAME", "TYPE"))
    if (header, scheme) != ("Authorization", "Bearer"):
        return [
            "The API document fixes 'Authorization: Bearer <token>', but JWT_HEADER_NAME or JWT_HEADER_TYPE "
            "say otherwise: pass authenticate=bearer(verify) to create_blueprint()."
        ]
    return []


def problems_of_keys(app: Flask) -> list[str]:
    """Tell whether a key of Flask-JWT-Extended is missing, or shorter than RFC 7518 (section 3.2) asks for.

    Args:
        app: The host.

    Returns:
        A sentence where it is.

    Raises:
        Nothing.
    """
    algorithm = str(app.config.get("JWT_ALGORITHM"))
    if not algorithm.startswith("HS"):
        return [] if app.config.get("JWT_PUBLIC_KEY") else [f"{algorithm} needs a key: set JWT_PUBLIC_KEY."]
    secret = app.config.get("JWT_SECRET_KEY") or app.secret_key or ""
    needed, length = int(algorithm[2:]) // 8, len(secret.encode() if isinstance(secret, str) else secret)
    if length >= needed:
        return []
    return [f"The secret has {length} bytes: {algorithm} needs {needed} random ones as JWT_SECRET_KEY."]


def problems_of_login(app: Flask) -> list[str]:
    """Tell what keeps Flask-Login from knowing anybody.

    Args:
        app: The host.

    Returns:
        A sentence where something does.

    Raises:
        Nothing.
    """
    if hasattr(app, "login_manager"):
        return []
    return [
        "This app has no LoginManager: call flask_login.LoginManager(app), "
        "or pass another authenticate=… to create_blueprint()."
    ]
