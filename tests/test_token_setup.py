"""The checks of the app's token system."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_jwt_extended import JWTManager
from flask_login import LoginManager

import flask_aegis_machines
from flask_aegis_machines._token_setup import (
    PLACEHOLDER_SECRETS,
    problems_of_jwt,
    problems_of_keys,
    problems_of_login,
    problems_of_secrets,
)

CHECKOUT = Path(flask_aegis_machines.__file__).parents[1]


def make_app(**config: Any) -> Flask:
    """Return an app with tokens of Flask-JWT-Extended."""
    app = Flask(__name__)
    app.config.update(config)
    JWTManager(app)
    return app


class TestJwt:
    """Flask-JWT-Extended as a whole."""

    def test_an_app_with_a_manager_has_no_problem(self) -> None:
        """The defaults of the library are the header of the API document."""
        assert problems_of_jwt(make_app()) == []

    def test_a_missing_manager_is_a_problem(self) -> None:
        """The sentence says what to call."""
        (problem,) = problems_of_jwt(Flask(__name__))
        assert problem.startswith("This app has no JWTManager: call flask_jwt_extended.JWTManager(app)")

    @pytest.mark.parametrize("changed", [{"JWT_HEADER_NAME": "X-Token"}, {"JWT_HEADER_TYPE": "JWT"}])
    def test_another_header_is_a_problem(self, changed: dict[str, str]) -> None:
        """The API document fixes the header, and the sentence says so."""
        (problem,) = problems_of_jwt(make_app(**changed))
        assert problem.startswith("The API document fixes 'Authorization: Bearer <token>'")


class TestKeys:
    """What Flask-JWT-Extended verifies with."""

    @pytest.mark.parametrize(("algorithm", "needed"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
    @pytest.mark.parametrize("letter", ["x", "é", b"x"], ids=["ASCII", "two bytes each", "bytes"])
    def test_a_secret_is_as_long_as_its_hash(self, algorithm: str, needed: int, letter: Any) -> None:
        """Bytes count and not characters. One byte less is a problem, with its length."""
        size = len(letter.encode() if isinstance(letter, str) else letter)
        enough = letter * (needed // size)
        assert problems_of_keys(make_app(JWT_ALGORITHM=algorithm, JWT_SECRET_KEY=enough)) == []
        assert problems_of_keys(make_app(JWT_ALGORITHM=algorithm, JWT_SECRET_KEY=enough[:-1])) == [
            f"The secret has {needed - size} bytes: {algorithm} needs {needed} random ones as JWT_SECRET_KEY."
        ]

    def test_the_secret_of_flask_stands_in(self) -> None:
        """Without JWT_SECRET_KEY the library takes Flask's SECRET_KEY, and so does the check."""
        assert problems_of_keys(make_app(SECRET_KEY="x" * 32)) == []
        assert problems_of_keys(make_app(SECRET_KEY="x" * 31)) != []
        assert problems_of_keys(make_app(SECRET_KEY="x" * 32, JWT_SECRET_KEY="x")) != []

    def test_a_missing_secret_is_a_problem(self) -> None:
        """A missing secret has 0 bytes."""
        (problem,) = problems_of_keys(make_app())
        assert problem.startswith("The secret has 0 bytes")

    def test_a_number_is_not_a_secret(self) -> None:
        """Flask reads a secret of digits from the environment as a number, which verifies nothing."""
        secret = 9170 * 10**60
        (problem,) = problems_of_keys(make_app(JWT_SECRET_KEY=secret))
        assert problem == "The secret is neither str nor bytes: set JWT_SECRET_KEY to a string."

    @pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
    def test_a_key_pair_needs_its_public_half(self, algorithm: str) -> None:
        """A secret is not enough. An app that only verifies needs no private key."""
        (problem,) = problems_of_keys(make_app(JWT_ALGORITHM=algorithm, JWT_SECRET_KEY="x" * 64))
        assert problem == f"{algorithm} needs a key: set JWT_PUBLIC_KEY."
        assert problems_of_keys(make_app(JWT_ALGORITHM=algorithm, JWT_PUBLIC_KEY="a key")) == []

    def test_an_app_with_a_key_loader_is_not_checked(self) -> None:
        """The key of a token is not known before a request."""
        app = make_app()
        app.extensions["flask-jwt-extended"].decode_key_loader(lambda header, claims: "x" * 32)
        assert problems_of_keys(app) == []

    def test_the_secret_is_not_printed(self) -> None:
        """A short secret is named by its length only."""
        (problem,) = problems_of_keys(make_app(JWT_SECRET_KEY="S3cret"))
        assert "S3cret" not in problem


class TestLogin:
    """Flask-Login."""

    def test_an_app_with_a_manager_has_no_problem(self) -> None:
        """Flask-Login says on the app that it is there."""
        app = Flask(__name__)
        LoginManager(app)
        assert problems_of_login(app) == []

    def test_a_missing_manager_is_a_problem(self) -> None:
        """The sentence says what to call."""
        (problem,) = problems_of_login(Flask(__name__))
        assert problem.startswith("This app has no LoginManager: call flask_login.LoginManager(app)")


class TestSecrets:
    """Secrets that everybody can read."""

    @pytest.mark.parametrize("secret", sorted(PLACEHOLDER_SECRETS))
    @pytest.mark.parametrize("key", ["JWT_SECRET_KEY", "SECRET_KEY"])
    def test_a_placeholder_is_a_problem(self, key: str, secret: str) -> None:
        """The sentence names the key and does not repeat the secret; bytes are compared as well."""
        for value in (secret, secret.encode()):
            app = Flask(__name__)
            app.config[key] = value
            (problem,) = problems_of_secrets(app)
            assert problem.startswith(f"{key} is a placeholder that everybody can read")
            assert secret not in problem

    @pytest.mark.parametrize("secret", ["x" * 32, b"x" * 32, None, 9170 * 10**60])
    def test_other_secrets_are_no_placeholders(self, secret: object) -> None:
        """A secret of another type is the business of another check."""
        app = Flask(__name__)
        app.config["JWT_SECRET_KEY"] = secret
        assert problems_of_secrets(app) == []

    def test_every_placeholder_passes_the_check_of_lengths(self) -> None:
        """Shorter secrets are refused anyway, so none is listed."""
        assert all(problems_of_keys(make_app(JWT_SECRET_KEY=secret)) == [] for secret in PLACEHOLDER_SECRETS)

    def test_secrets_in_the_documentation_are_placeholders(self) -> None:
        """Whoever copies the documentation and forgets to change the secret gets a problem."""
        papers = [
            *CHECKOUT.glob("*.md"),
            *CHECKOUT.glob("docs/**/*.md"),
            *CHECKOUT.glob("example_app/**/*.py"),
        ]
        values = re.compile(r"""(?:SECRET_KEY["']?\]?|\bKEY) *= *["']([^"']*)["']""")
        found = {secret for paper in papers for secret in values.findall(paper.read_text("utf-8"))}
        assert found
        assert found <= PLACEHOLDER_SECRETS
