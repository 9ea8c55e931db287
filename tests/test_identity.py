"""Who is calling, with the libraries that hosts use."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NoReturn

import jwt
import pytest
from flask import Flask, jsonify
from flask.testing import FlaskClient
from flask_jwt_extended import JWTManager, create_access_token, create_refresh_token, get_jti
from flask_login import LoginManager, UserMixin, login_user
from werkzeug.test import TestResponse

from flask_aegis_machines import (
    ConfigurationError,
    Unauthorized,
    UserNotFound,
    bearer,
    create_blueprint,
    identity,
    jwt_identity,
    login_identity,
)
from flask_aegis_machines._errors import PayloadTooLarge
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore

SECRET = "a secret of the tests, of more than 32 bytes"
Ask = Callable[..., TestResponse]


def who(app: Flask, authenticate: Callable[[], object | None]) -> None:
    """Add a page that returns the identity from ``authenticate``."""

    @app.route("/who", methods=["GET", "POST"])
    def who() -> Any:
        try:
            return jsonify(identity=authenticate())
        except (ConfigurationError, Unauthorized, UserNotFound) as error:
            return jsonify(refused=type(error).__name__, text=str(error))


class TestJwtIdentity:
    """Flask-JWT-Extended."""

    @pytest.fixture
    def app(self) -> Flask:
        app = Flask(__name__)
        app.config.update(
            JWT_SECRET_KEY=SECRET, JWT_TOKEN_LOCATION=["headers", "cookies", "query_string", "json"]
        )
        app.config["JWT_COOKIE_CSRF_PROTECT"] = False
        JWTManager(app)
        who(app, jwt_identity)
        return app

    @pytest.fixture
    def manager(self, app: Flask) -> JWTManager:
        manager: JWTManager = app.extensions["flask-jwt-extended"]
        return manager

    @pytest.fixture
    def ask(self, app: Flask, client: FlaskClient) -> Ask:
        """Ask with a token in the documented header."""

        def ask(token: str) -> TestResponse:
            return client.get("/who", headers={"Authorization": f"Bearer {token}"})

        return ask

    def token(self, app: Flask, identity: Any = "1", **how: Any) -> str:
        with app.app_context():
            return create_access_token(identity, **how)

    def test_an_access_token_names_its_user(self, app: Flask, ask: Ask) -> None:
        """The identity is the one that the host put into the token."""
        assert ask(self.token(app)).json == {"identity": "1"}

    @pytest.mark.parametrize(
        "header",
        [None, "", "Bearer", "Bearer ", "Basic YTpi", "token", "Bearer a b", ", ,Bearer x", "Bearer a,,b"],
    )
    def test_no_token_is_unauthorized(self, client: FlaskClient, header: str | None) -> None:
        """A missing or malformed header is nobody."""
        headers = {} if header is None else {"Authorization": header}
        assert client.get("/who", headers=headers).json == {"refused": "Unauthorized", "text": ""}

    def test_bad_tokens_are_unauthorized(self, app: Flask, ask: Ask) -> None:
        """Garbage, a foreign signature, no signature, an expired token and a refresh token are nobody."""
        with app.app_context():
            refresh = create_refresh_token("1")
        claims = {"sub": "1", "type": "access", "fresh": False, "jti": "x", "exp": 9999999999}
        bad = {
            "garbage": "abc",
            "three parts": "a.b.c",
            "not ASCII": "é.é.é",
            "foreign": jwt.encode(claims, "another secret, of more than 32 bytes", "HS256"),
            "unsigned": jwt.encode(claims, None, "none"),
            "expired": self.token(app, expires_delta=timedelta(seconds=-1)),
            "refresh": refresh,
            "no subject": jwt.encode({"exp": 9999999999}, SECRET, "HS256"),
            "no claims": jwt.encode({}, SECRET, "HS256"),
        }
        answers = {name: (ask(token).json or {}).get("refused") for name, token in bad.items()}
        assert answers == dict.fromkeys(bad, "Unauthorized")

    def test_other_places_than_the_header_are_not_looked_at(self, app: Flask, client: FlaskClient) -> None:
        """A cookie would open the endpoint to forged requests, whatever JWT_TOKEN_LOCATION says."""
        token = self.token(app)
        client.set_cookie("access_token_cookie", token)
        answer = client.post("/who", query_string={"jwt": token}, json={"access_token": token})
        assert answer.json == {"refused": "Unauthorized", "text": ""}

    def test_a_revoked_token_is_unauthorized(self, app: Flask, manager: JWTManager, ask: Ask) -> None:
        """The host's blocklist is asked."""
        token = self.token(app)
        with app.app_context():
            revoked = {get_jti(token)}
        manager.token_in_blocklist_loader(lambda header, payload: payload["jti"] in revoked)
        assert ask(token).json == {"refused": "Unauthorized", "text": ""}
        assert ask(self.token(app)).json == {"identity": "1"}

    def test_a_failed_verification_of_claims_is_unauthorized(
        self, app: Flask, manager: JWTManager, ask: Ask
    ) -> None:
        """The host's own demands on a token hold here, too."""
        manager.token_verification_loader(lambda header, payload: payload.get("device") == "known")
        assert ask(self.token(app)).json == {"refused": "Unauthorized", "text": ""}
        assert ask(self.token(app, additional_claims={"device": "known"})).json == {"identity": "1"}

    def test_the_host_s_look_up_is_honoured(self, app: Flask, manager: JWTManager, ask: Ask) -> None:
        """Where the token library looks the user up and finds nobody, nobody is there."""
        manager.user_lookup_loader(lambda header, payload: {"1": "user"}.get(payload["sub"]))
        assert ask(self.token(app)).json == {"identity": "1"}
        assert ask(self.token(app, "2")).json == {"refused": "UserNotFound", "text": ""}

    def test_another_claim_may_hold_the_identity(self, app: Flask, ask: Ask) -> None:
        """JWT_IDENTITY_CLAIM is the host's."""
        app.config["JWT_IDENTITY_CLAIM"] = "account"
        assert ask(self.token(app, "7")).json == {"identity": "7"}

    def test_a_token_nested_too_deeply_is_unauthorized(
        self, ask: Ask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Older releases of PyJWT let such a header run into Python's limit."""

        def run_into_the_limit(**how: object) -> NoReturn:
            raise RecursionError

        monkeypatch.setattr("flask_jwt_extended.verify_jwt_in_request", run_into_the_limit)
        assert ask("e30").json == {"refused": "Unauthorized", "text": ""}

    @pytest.mark.parametrize("error", [ConnectionError, IndexError])
    def test_what_the_host_s_callbacks_raise_passes_through(
        self, app: Flask, manager: JWTManager, ask: Ask, error: type[Exception]
    ) -> None:
        """A blocklist that fails is the host's fault, and its to handle; it is no malformed header either."""

        def fail(header: object, payload: object) -> NoReturn:
            raise error("blocklist")

        app.testing = True
        manager.token_in_blocklist_loader(fail)
        with pytest.raises(error, match="blocklist"):
            ask(self.token(app))

    @pytest.mark.parametrize(
        "config", [{"JWT_HEADER_NAME": "X-Token"}, {"JWT_HEADER_TYPE": "JWT"}, {"JWT_HEADER_TYPE": ""}]
    )
    def test_another_header_is_a_wrong_set_up(
        self, app: Flask, client: FlaskClient, config: dict[str, str]
    ) -> None:
        """The API document fixes the header: for a host that reads another, the error says what to do."""
        app.config.update(config)
        answer = client.get("/who").json
        assert answer is not None
        assert answer["refused"] == "ConfigurationError"
        assert "bearer(verify)" in answer["text"]


class TestBearer:
    """Any token scheme, by a function of the host's."""

    @pytest.fixture
    def app(self) -> Flask:
        app = Flask(__name__)
        who(app, bearer({"good": "1", "b64~+/-._=": "2"}.get))
        return app

    @pytest.mark.parametrize(
        ("header", "identity"),
        [
            ("Bearer good", "1"),
            ("bearer good", "1"),
            ("BEARER  good ", "1"),
            ("Bearer b64~+/-._=", "2"),
            ("Bearer x", None),
        ],
    )
    def test_the_token_is_handed_over(self, client: FlaskClient, header: str, identity: str | None) -> None:
        """The scheme is compared in any case, and the token is the host's to judge."""
        assert client.get("/who", headers={"Authorization": header}).json == {"identity": identity}

    @pytest.mark.parametrize(
        "header", ["", "good", "Bearer", "Bearer ", "Basic good", "Bearer good good", "Bearergood"]
    )
    def test_a_malformed_header_is_unauthorized(self, client: FlaskClient, header: str) -> None:
        """The host is not asked about what is no bearer token."""
        answer = client.get("/who", headers={"Authorization": header}).json
        assert answer == {"refused": "Unauthorized", "text": ""}

    def test_an_async_verify_is_refused(self) -> None:
        """It would make an identity of its coroutine."""

        async def verify(token: str) -> None:
            """Verify nothing."""

        with pytest.raises(ConfigurationError, match="verify must be a sync function"):
            bearer(verify)

    def test_no_header_is_unauthorized(self, client: FlaskClient) -> None:
        """A request without credentials is nobody's."""
        assert client.get("/who").json == {"refused": "Unauthorized", "text": ""}


class TestLoginIdentity:
    """Flask-Login, by session and by request."""

    class Account(UserMixin):
        def __init__(self, key: object) -> None:
            self.id = key

    @pytest.fixture
    def app(self) -> Flask:
        app = Flask(__name__)
        app.secret_key = SECRET
        manager = LoginManager(app)
        key = uuid.UUID(int=7)
        manager.user_loader(lambda found: self.Account(found) if found == str(key) else None)
        manager.request_loader(lambda request: self.Account(9) if "X-Key" in request.headers else None)
        app.add_url_rule("/sign-in", view_func=lambda: str(login_user(self.Account(key))))
        who(app, login_identity)
        return app

    def test_a_body_that_is_too_long_for_a_request_loader(self, app: Flask, client: FlaskClient) -> None:
        """A loader that looks for a token in the body meets the host's limit, which is answered as ours."""
        app.config.update(MAX_CONTENT_LENGTH=3, TESTING=True)
        app.login_manager.request_loader(lambda request: request.get_json(silent=True))  # type: ignore[attr-defined]
        with pytest.raises(PayloadTooLarge):
            client.get("/who", json={"a": 1})

    def test_a_session_names_its_user(self, client: FlaskClient) -> None:
        """Whoever signed in by a page is the caller."""
        assert client.get("/who").json == {"identity": None}
        client.get("/sign-in")
        assert client.get("/who").json == {"identity": str(uuid.UUID(int=7))}

    def test_a_request_may_name_its_user(self, client: FlaskClient) -> None:
        """A request loader of the host's serves as well."""
        assert client.get("/who", headers={"X-Key": "k"}).json == {"identity": "9"}

    def test_a_forgotten_login_manager_is_a_wrong_set_up(self) -> None:
        """Without one, the error says what to do."""
        app = Flask(__name__)
        who(app, login_identity)
        answer = app.test_client().get("/who").json
        assert answer is not None
        assert answer["refused"] == "ConfigurationError"
        assert "LoginManager" in answer["text"]


@pytest.mark.parametrize(
    ("authenticate", "expected"),
    [(jwt_identity, "JWTManager"), (login_identity, "LoginManager"), (bearer(len), None), (lambda: 1, None)],
)
def test_problems_are_those_of_the_token_library(
    authenticate: Callable[[], object], expected: str | None
) -> None:
    """A ready ``authenticate`` has the checks of its library, and another has none."""
    problems = identity.problems(authenticate, Flask("host"))
    assert [expected in problem for problem in problems if expected] == [True] * (expected is not None)
    assert bool(problems) == (expected is not None)


@pytest.mark.parametrize(
    ("authenticate", "module", "package"),
    [
        (jwt_identity, "flask_jwt_extended", "Flask-JWT-Extended"),
        (login_identity, "flask_login", "Flask-Login"),
    ],
)
def test_a_missing_library_is_reported_at_mount(
    monkeypatch: pytest.MonkeyPatch, authenticate: Callable[[], object], module: str, package: str
) -> None:
    """A host without the library behind a ready ``authenticate`` gets an error before the first request."""
    monkeypatch.setitem(sys.modules, module, None)
    blueprint = create_blueprint(
        users=MemoryUserStore(), machines=MemoryMachineStore(), authenticate=authenticate
    )
    with pytest.raises(ConfigurationError, match=f"needs {package}: install it"):
        Flask("host").register_blueprint(blueprint)


def test_a_user_who_is_not_authenticated_is_nobody() -> None:
    """A host may know who asks, and still want a second factor."""

    class Half(UserMixin):
        id = 7
        is_authenticated = False

    app = Flask("host")
    app.secret_key = "a secret of the tests, of more than 32 bytes"
    LoginManager(app).request_loader(lambda request: Half())
    with app.test_request_context():
        assert login_identity() is None
