"""Ready values for ``authenticate``. Each imports its library when it is first called."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from inspect import unwrap
from typing import TypeAlias

from flask import Flask, current_app
from werkzeug.exceptions import RequestEntityTooLarge

from ._bearer_token import bearer_token
from ._errors import ConfigurationError, PayloadTooLarge, Unauthorized, UserNotFound
from ._host_session import ending_session
from ._sync_functions import require_sync
from ._token_setup import lacks_key_for, problems_of_jwt, problems_of_keys, problems_of_login

__all__ = [
    "Authenticate",
    "bearer",
    "ending_session",
    "jwt_identity",
    "login_identity",
]

#: Returns the identity of the current request's caller, or ``None`` for nobody.
Authenticate: TypeAlias = Callable[[], object | None]


def jwt_identity() -> object:
    """Identify the caller by a Flask-JWT-Extended access token in the ``Authorization`` header.

    The host's key, algorithm, identity claim, blocklist and user look-up apply. Tokens in cookies, in the
    query string or in the body are not looked at, whatever ``JWT_TOKEN_LOCATION`` says.

    Returns:
        The value of the token's identity claim.

    Raises:
        Unauthorized: The token is missing, malformed, expired, revoked or a refresh token.
        UserNotFound: The host's user look-up found nobody.
        ConfigurationError: The app has no ``JWTManager``, one that reads another header, or no key that can
            verify a token.
    """
    import flask_jwt_extended.exceptions
    import jwt.exceptions

    if problems := problems_of_jwt(current_app):
        raise ConfigurationError(problems[0])
    try:
        flask_jwt_extended.verify_jwt_in_request(locations=["headers"])
    except flask_jwt_extended.exceptions.UserLookupError:
        raise UserNotFound from None
    except (
        flask_jwt_extended.exceptions.JWTExtendedException,
        jwt.exceptions.InvalidTokenError,
    ):
        raise Unauthorized from None
    except (KeyError, jwt.exceptions.PyJWKClientError):
        if lacks_key_for(_token(), current_app):
            raise Unauthorized from None
        raise
    except (IndexError, RecursionError):  # a header with empty parts, or a token nested too deeply
        if _can_decode():
            raise
        raise Unauthorized from None
    except (AttributeError, jwt.exceptions.InvalidKeyError, RuntimeError, TypeError, ValueError):
        if _can_decode():
            raise
        if lacks_key_for(_token(), current_app):  # such as one with a key ID that the host does not know
            raise Unauthorized from None
        raise ConfigurationError(
            "Flask-JWT-Extended cannot verify a token: set JWT_SECRET_KEY or, for RS256, ES256 and the like, "
            "JWT_PUBLIC_KEY to a key that suits JWT_ALGORITHM."
        ) from None
    return flask_jwt_extended.get_jwt_identity()


def _can_decode() -> bool:
    """Return whether the token can be decoded: then the blocklist or the look-up of the host has failed."""
    from flask_jwt_extended import decode_token

    try:
        decode_token(_token())
    except Exception:
        return False
    return True


def login_identity() -> object | None:
    """Identify the caller as Flask-Login does, or Flask-Security, which builds on it.

    Returns:
        ``current_user.get_id()``, or ``None`` where nobody is signed in.

    Raises:
        Unauthorized: The host could not read the body that it looks for a token in.
        PayloadTooLarge: That body is over what the host allows.
        ConfigurationError: The app has no ``LoginManager``.
    """
    from flask_login import current_user

    if problems := problems_of_login(current_app):
        raise ConfigurationError(problems[0])
    try:
        identity: object | None = current_user.get_id() if current_user.is_authenticated else None
    # Flask-Security looks for a token in the body, too, however deeply nested or long that is.
    except RecursionError:
        raise Unauthorized from None
    except RequestEntityTooLarge:
        raise PayloadTooLarge from None
    return identity


def bearer(verify: Callable[[str], object | None]) -> Authenticate:
    """Make an ``authenticate`` for any token sent as ``Authorization: Bearer <token>``.

    Args:
        verify: Gets the token and returns the identity that it stands for; ``None``, ``False`` or ``""`` for
            nobody. If it raises ``Unauthorized``, the client gets 401/10401. Other exceptions go to the error
            handlers of the host.

    Returns:
        A callable for ``create_blueprint(authenticate=…)``. It returns what ``verify`` returns, and raises
        ``Unauthorized`` where the header is missing or malformed.

    Raises:
        ConfigurationError: ``verify`` is async.
    """
    require_sync("verify", verify)

    def authenticate() -> object | None:
        return verify(_token())  # in no variable: error reporters read those of every frame

    return authenticate


def _token() -> str:
    if (token := bearer_token()) is None:
        raise Unauthorized
    return token


def check_installed(authenticate: Authenticate) -> None:
    """Check that the library behind a ready ``authenticate`` is installed.

    Args:
        authenticate: What the host passed to ``create_blueprint()``.

    Raises:
        ConfigurationError: Its library is not installed.
    """
    for ready, module, package in (
        (jwt_identity, "flask_jwt_extended", "Flask-JWT-Extended"),
        (login_identity, "flask_login", "Flask-Login"),
    ):
        if unwrap(authenticate) is ready and find_spec(module) is None:
            raise ConfigurationError(
                f"{ready.__name__} needs {package}: install it, or pass another authenticate=… "
                "to create_blueprint()."
            )


def problems(authenticate: Authenticate, app: Flask) -> list[str]:
    """Return what is wrong with the token system behind a ready ``authenticate``.

    Used by ``flask aegis-machines doctor``.

    Args:
        authenticate: What the host passed to ``create_blueprint()``.
        app: The app.

    Returns:
        One sentence for each problem, which says what to do; none for another ``authenticate``.
    """
    authenticate = unwrap(authenticate)
    if authenticate is jwt_identity:
        return problems_of_jwt(app) or problems_of_keys(app)
    if authenticate is login_identity:
        return problems_of_login(app)
    return []
