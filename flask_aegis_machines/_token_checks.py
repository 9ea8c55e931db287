"""What is wrong with the token system of a host, in sentences that say what to do."""

from __future__ import annotations

from flask import Flask

__all__ = ["problems_of_jwt", "problems_of_keys", "problems_of_login"]

# As many as the hash has.
_SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}


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
    """Tell whether the key that verifies tokens is missing, or shorter than RFC 7518 (section 3.2) asks for.

    Args:
        app: The host, with a ``JWTManager``.

    Returns:
        A sentence where it is; none where the host chooses a key for each token (``decode_key_loader``).

    Raises:
        Nothing.
    """
    from flask_jwt_extended.default_callbacks import default_decode_key_callback

    if app.extensions["flask-jwt-extended"]._decode_key_callback is not default_decode_key_callback:
        return []
    algorithm = app.config["JWT_ALGORITHM"]
    if algorithm not in _SECRET_BYTES:
        return [] if app.config["JWT_PUBLIC_KEY"] else [f"{algorithm} needs a key: set JWT_PUBLIC_KEY."]
    secret = app.config["JWT_SECRET_KEY"] or app.secret_key or ""
    if not isinstance(secret, (str, bytes)):
        return ["The secret is neither text nor bytes: set JWT_SECRET_KEY to a string."]
    needed, length = _SECRET_BYTES[algorithm], len(secret.encode() if isinstance(secret, str) else secret)
    if length < needed:
        return [f"The secret has {length} bytes: {algorithm} needs {needed} random ones as JWT_SECRET_KEY."]
    return []


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
