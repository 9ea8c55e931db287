"""Checks of the app's token system, for requests and for ``flask aegis-machines doctor``."""

from __future__ import annotations

from flask import Flask

__all__ = [
    "PLACEHOLDER_SECRETS",
    "lacks_key_for",
    "problems_of_jwt",
    "problems_of_keys",
    "problems_of_login",
    "problems_of_secrets",
]

# RFC 7518, section 3.2: a key is at least as long as the hash.
_SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}

#: Secrets that everybody can read, so everybody can sign a token. All are long enough for HS256.
PLACEHOLDER_SECRETS = frozenset(
    {
        "change me: a secret of at least 32 bytes",  # the documentation of this package
        "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",  # the documentation of Flask
        "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",  # the tutorial of FastAPI
        "a-string-secret-at-least-256-bits-long",  # the debugger of jwt.io
    }
)


def problems_of_jwt(app: Flask) -> list[str]:
    """Return why Flask-JWT-Extended cannot read tokens.

    Args:
        app: The app.

    Returns:
        At most one sentence, which says what to do.
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
    """Return why the key that verifies tokens cannot be used: it is missing or short (RFC 7518, section 3.2).

    Args:
        app: The app, with a ``JWTManager``.

    Returns:
        At most one sentence, which says what to do. Empty where the app chooses a key for each token
        (``decode_key_loader``).
    """
    if _chooses_keys(app):
        return []
    algorithm = app.config["JWT_ALGORITHM"]
    if algorithm not in _SECRET_BYTES:
        return [] if app.config["JWT_PUBLIC_KEY"] else [f"{algorithm} needs a key: set JWT_PUBLIC_KEY."]
    secret = app.config["JWT_SECRET_KEY"] or app.secret_key or ""
    if not isinstance(secret, (str, bytes)):
        return ["The secret is neither str nor bytes: set JWT_SECRET_KEY to a string."]
    needed, length = _SECRET_BYTES[algorithm], len(secret.encode() if isinstance(secret, str) else secret)
    if length < needed:
        return [f"The secret has {length} bytes: {algorithm} needs {needed} random ones as JWT_SECRET_KEY."]
    return []


def lacks_key_for(token: str, app: Flask) -> bool:
    """Return whether the app, which chooses a key for each token (``decode_key_loader``), has none for this.

    Args:
        token: The token, not verified.
        app: The app, with a ``JWTManager``.
    """
    import jwt

    if not _chooses_keys(app):
        return False
    try:
        header = jwt.get_unverified_header(token)
        claims = jwt.decode(token, options={"verify_signature": False})
        return not app.extensions["flask-jwt-extended"]._decode_key_callback(header, claims)
    except getattr(jwt.exceptions, "PyJWKClientConnectionError", ()):  # the host's server of keys is away
        return False
    except (LookupError, jwt.exceptions.PyJWKClientError):
        return True
    except Exception:
        return False


def _chooses_keys(app: Flask) -> bool:
    from flask_jwt_extended.default_callbacks import default_decode_key_callback

    chosen = app.extensions["flask-jwt-extended"]._decode_key_callback
    return chosen is not default_decode_key_callback


def problems_of_login(app: Flask) -> list[str]:
    """Return why Flask-Login cannot identify users.

    Args:
        app: The app.

    Returns:
        At most one sentence, which says what to do.
    """
    if hasattr(app, "login_manager"):
        return []
    return [
        "This app has no LoginManager: call flask_login.LoginManager(app), "
        "or pass another authenticate=… to create_blueprint()."
    ]


def problems_of_secrets(app: Flask) -> list[str]:
    """Return which secrets of the app are placeholders, for tokens and for the cookie of a session.

    Args:
        app: The app.

    Returns:
        One sentence for each placeholder, which says what to do.
    """
    placeholders = {*PLACEHOLDER_SECRETS, *(secret.encode() for secret in PLACEHOLDER_SECRETS)}
    return [
        f"{key} is a placeholder that everybody can read, so everybody can sign in as any user: set it to "
        'the output of python -c "import secrets; print(secrets.token_hex())".'
        for key in ("JWT_SECRET_KEY", "SECRET_KEY")
        if isinstance(secret := app.config.get(key), (str, bytes)) and secret in placeholders
    ]
