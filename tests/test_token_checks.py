"""What is wrong with the token system of a host."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask_jwt_extended import JWTManager
from flask_login import LoginManager

from flask_aegis_machines._token_checks import problems_of_jwt, problems_of_keys, problems_of_login


def host(**config: Any) -> Flask:
    """Make a host with tokens of Flask-JWT-Extended."""
    app = Flask(__name__)
    app.config.update(config)
    JWTManager(app)
    return app


class TestJwt:
    """Flask-JWT-Extended as a whole."""

    def test_a_host_with_a_manager_has_no_problem(self) -> None:
        """The defaults of the library are the header of the API document."""
        assert problems_of_jwt(host()) == []

    def test_a_host_without_a_manager_is_told(self) -> None:
        """The sentence says what to call."""
        (problem,) = problems_of_jwt(Flask(__name__))
        assert problem.startswith("This app has no JWTManager: call flask_jwt_extended.JWTManager(app)")

    @pytest.mark.parametrize("changed", [{"JWT_HEADER_NAME": "X-Token"}, {"JWT_HEADER_TYPE": "JWT"}])
    def test_another_header_is_told(self, changed: dict[str, str]) -> None:
        """A host whose tokens come in another header learns what the document fixes."""
        (problem,) = problems_of_jwt(host(**changed))
        assert problem.startswith("The API document fixes 'Authorization: Bearer <token>'")


class TestKeys:
    """What Flask-JWT-Extended verifies with."""

    @pytest.mark.parametrize(("algorithm", "needed"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
    @pytest.mark.parametrize("letter", ["x", "é", b"x"], ids=["ASCII", "two bytes each", "bytes"])
    def test_a_secret_is_as_long_as_its_hash(self, algorithm: str, needed: int, letter: Any) -> None:
        """Bytes count, not characters; one fewer is told, with how many there are."""
        size = len(letter.encode() if isinstance(letter, str) else letter)
        enough = letter * (needed // size)
        assert problems_of_keys(host(JWT_ALGORITHM=algorithm, JWT_SECRET_KEY=enough)) == []
        assert problems_of_keys(host(JWT_ALGORITHM=algorithm, JWT_SECRET_KEY=enough[:-1])) == [
            f"The secret has {needed - size} bytes: {algorithm} needs {needed} random ones as JWT_SECRET_KEY."
        ]

    def test_the_app_s_own_secret_stands_in(self) -> None:
        """Without JWT_SECRET_KEY the library takes Flask's SECRET_KEY, and so does the check."""
        assert problems_of_keys(host(SECRET_KEY="x" * 32)) == []
        assert problems_of_keys(host(SECRET_KEY="x" * 31)) != []
        assert problems_of_keys(host(SECRET_KEY="x" * 32, JWT_SECRET_KEY="x")) != []

    def test_no_secret_at_all_is_told(self) -> None:
        """Nothing is a secret of no bytes."""
        (problem,) = problems_of_keys(host())
        assert problem.startswith("The secret has 0 bytes")

    def test_a_number_is_no_secret(self) -> None:
        """A key of digits, read from the environment, becomes a number, with which nothing is verified."""
        secret = 9170 * 10**60
        (problem,) = problems_of_keys(host(JWT_SECRET_KEY=secret))
        assert problem == "The secret is neither text nor bytes: set JWT_SECRET_KEY to a string."

    @pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
    def test_a_key_pair_needs_its_public_half(self, algorithm: str) -> None:
        """A secret does not do; who signs elsewhere needs no private key here."""
        (problem,) = problems_of_keys(host(JWT_ALGORITHM=algorithm, JWT_SECRET_KEY="x" * 64))
        assert problem == f"{algorithm} needs a key: set JWT_PUBLIC_KEY."
        assert problems_of_keys(host(JWT_ALGORITHM=algorithm, JWT_PUBLIC_KEY="a key")) == []

    def test_a_host_that_chooses_keys_itself_is_left_alone(self) -> None:
        """Which key a token gets is known once it comes."""
        app = host()
        app.extensions["flask-jwt-extended"].decode_key_loader(lambda header, claims: "x" * 32)
        assert problems_of_keys(app) == []

    def test_no_problem_tells_the_secret(self) -> None:
        """What is too short is not printed all the same."""
        (problem,) = problems_of_keys(host(JWT_SECRET_KEY="S3cret"))
        assert "S3cret" not in problem


class TestLogin:
    """Flask-Login."""

    def test_a_host_with_a_manager_has_no_problem(self) -> None:
        """Flask-Login says on the app that it is there."""
        app = Flask(__name__)
        LoginManager(app)
        assert problems_of_login(app) == []

    def test_a_host_without_a_manager_is_told(self) -> None:
        """The sentence says what to call."""
        (problem,) = problems_of_login(Flask(__name__))
        assert problem.startswith("This app has no LoginManager: call flask_login.LoginManager(app)")
