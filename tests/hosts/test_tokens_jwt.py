"""Hosts with Flask-JWT-Extended, from the sign-in to the sign-out."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import jwt
import pytest
from flask import Response, jsonify
from flask_jwt_extended import (
    create_access_token,
    create_refresh_token,
    current_user,
    get_csrf_token,
    get_jti,
    get_jwt,
    get_jwt_identity,
    jwt_required,
    set_access_cookies,
)

from tests.support.tokens import access_token, ask, bearing, jwt_host, manager_of


def test_whoever_signs_out_is_out() -> None:
    """A token on the host's blocklist is refused, and another one of the same user is not."""
    app = jwt_host()
    revoked = set()
    manager_of(app).token_in_blocklist_loader(lambda header, claims: claims["jti"] in revoked)

    @app.delete("/session")
    @jwt_required()
    def sign_out() -> tuple[str, int]:
        revoked.add(get_jwt()["jti"])
        return "", 204

    client = app.test_client()
    phone, tablet = access_token(app), access_token(app)
    assert [ask(client, phone), ask(client, tablet)] == ["10000", "10000"]
    client.delete("/session", headers=bearing(phone))
    assert [ask(client, phone), ask(client, tablet)] == ["10401", "10000"]


@pytest.mark.parametrize(
    ("identity", "code"),
    [
        ("1", "10000"),
        (1, "10000"),
        ("3", "10003"),
        (1.0, "10003"),
        (True, "10003"),
        (["1"], "10003"),
        ({"id": 1}, "10003"),
        (None, "10401"),
    ],
)
def test_a_claim_of_the_host_s_may_hold_the_identity(identity: object, code: str) -> None:
    """Strings and integers name a user, ``null`` names nobody, and anything else is no user's."""
    app = jwt_host(JWT_IDENTITY_CLAIM="account")
    assert ask(app.test_client(), access_token(app, identity)) == code


def test_a_token_without_the_host_s_claim_is_nobody_s() -> None:
    """``sub`` does not stand in for JWT_IDENTITY_CLAIM."""
    token = access_token(jwt_host())
    assert ask(jwt_host(JWT_IDENTITY_CLAIM="account").test_client(), token) == "10401"


def test_a_user_object_may_be_the_identity() -> None:
    """A host that signs objects in by ``user_identity_loader`` needs nothing else for us."""
    app = jwt_host()
    manager_of(app).user_identity_loader(lambda user: str(user["id"]))
    assert ask(app.test_client(), access_token(app, {"id": 1})) == "10000"


def test_a_refresh_token_opens_only_the_host_s_page() -> None:
    """What renews a session binds no machine; the access token that comes of it does."""
    app = jwt_host()

    @app.post("/refresh")
    @jwt_required(refresh=True)
    def refresh() -> Response:
        return jsonify(token=create_access_token(get_jwt_identity()))

    with app.app_context():
        token = create_refresh_token("1")
    client = app.test_client()
    assert ask(client, token) == "10401"
    renewed = client.post("/refresh", headers=bearing(token)).get_json()["token"]
    assert ask(client, renewed) == "10000"


def test_an_integer_subject_by_default() -> None:
    """A token that an old host signed for the integer 1 is refused from PyJWT 2.10 on."""
    app = jwt_host()
    expected = "10401" if hasattr(jwt.exceptions, "InvalidSubjectError") else "10000"
    assert ask(app.test_client(), access_token(app, 1)) == expected


def test_an_integer_subject_that_the_host_allows() -> None:
    """JWT_VERIFY_SUB = False keeps the tokens of an old host good."""
    app = jwt_host(JWT_VERIFY_SUB=False)
    client = app.test_client()
    assert [ask(client, access_token(app, identity)) for identity in (1, 3, "1")] == [
        "10000",
        "10003",
        "10000",
    ]


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"aud": "machines", "iss": "login"}, "10000"),
        ({"aud": ["shop", "machines"], "iss": "login"}, "10000"),
        ({"aud": "shop", "iss": "login"}, "10401"),
        ({"iss": "login"}, "10401"),
        ({"aud": "machines", "iss": "elsewhere"}, "10401"),
        ({"aud": "machines"}, "10401"),
    ],
)
def test_audience_and_issuer(claims: dict[str, Any], code: str) -> None:
    """A token for another audience, or from another issuer, is refused."""
    app = jwt_host(JWT_DECODE_AUDIENCE="machines", JWT_DECODE_ISSUER="login")
    assert ask(app.test_client(), access_token(app, additional_claims=claims)) == code


@pytest.mark.parametrize(
    ("leeway", "codes"), [(0, ["10401", "10401", "10401"]), (60, ["10000", "10000", "10401"])]
)
def test_leeway(leeway: int, codes: list[str]) -> None:
    """A host whose clocks differ allows for it."""
    app = jwt_host(JWT_DECODE_LEEWAY=leeway)
    soon = datetime.now(timezone.utc) + timedelta(seconds=20)
    tokens = [
        access_token(app, expires_delta=timedelta(seconds=-20)),
        access_token(app, additional_claims={"nbf": soon}),
        access_token(app, expires_delta=timedelta(seconds=-90)),
    ]
    client = app.test_client()
    assert [ask(client, token) for token in tokens] == codes


def test_cookies_are_the_host_s_own() -> None:
    """Beside a cookie only the header counts, and it needs no CSRF token."""
    app = jwt_host(JWT_TOKEN_LOCATION=["cookies", "headers"])

    @app.post("/sign-in")
    def sign_in() -> Response:
        token = create_access_token("1")
        response = jsonify(csrf=get_csrf_token(token))
        set_access_cookies(response, token)
        return response

    @app.post("/theirs")
    @jwt_required()
    def theirs() -> str:
        return "theirs"

    client = app.test_client()
    csrf = {"X-CSRF-TOKEN": client.post("/sign-in").get_json()["csrf"]}
    assert client.post("/theirs").status_code == 401
    assert client.post("/theirs", headers=csrf).text == "theirs"
    assert [ask(client), ask(client, headers=csrf), ask(client, "x")] == ["10401"] * 3
    assert ask(client, access_token(app)) == "10000"
    assert ask(client, access_token(app, "2")) == "10006"


def test_a_missing_user_is_reported_after_the_body_checks() -> None:
    """10003 of the host's own look-up comes after the checks of the body and before the AegisSpeed ID's."""
    app = jwt_host()
    manager_of(app).user_lookup_loader(lambda header, claims: {"1": "a user"}.get(claims["sub"]))

    @app.get("/me")
    @jwt_required()
    def me() -> str:
        return str(current_user)

    client = app.test_client()
    here, gone = access_token(app), access_token(app, "2")
    assert client.get("/me", headers=bearing(here)).text == "a user"
    assert ask(client, here) == "10000"
    assert ask(client, gone, headers={"Content-Type": "text/plain"}) == "10415"
    assert ask(client, gone, user_AegisSpeed_id="") == "10002"
    assert ask(client, gone) == "10003"
    assert ask(client, gone, user_AegisSpeed_id="ASD000009") == "10003"
    app.config["AEGIS_MACHINES_REGISTER_OPEN"] = False
    assert ask(client, gone) == "10001"


def test_the_host_s_answers_stay_on_its_own_pages() -> None:
    """Every error loader of the host's answers on its pages, and none of them on ours."""
    app = jwt_host()
    manager = manager_of(app)
    for name in (
        "unauthorized",
        "invalid_token",
        "expired_token",
        "revoked_token",
        "token_verification_failed",
        "user_lookup_error",
    ):
        getattr(manager, f"{name}_loader")(lambda *why, name=name: (jsonify(theirs=name), 418))
    tokens = {
        "none": None,
        "garbage": "x",
        "expired": access_token(app, expires_delta=timedelta(seconds=-1)),
        "revoked": access_token(app),
        "of another device": access_token(app, additional_claims={"device": "lost"}),
        "of nobody": access_token(app, "3"),
    }
    with app.app_context():
        revoked = get_jti(tokens["revoked"])
    manager.token_in_blocklist_loader(lambda header, claims: claims["jti"] == revoked)
    manager.token_verification_loader(lambda header, claims: claims.get("device") != "lost")
    manager.user_lookup_loader(lambda header, claims: {"1": "a user"}.get(claims["sub"]))
    app.post("/theirs")(jwt_required()(lambda: "theirs"))
    client = app.test_client()

    def answers(token: str | None) -> tuple[str, str]:
        headers = {} if token is None else bearing(token)
        return client.post("/theirs", headers=headers).get_json()["theirs"], ask(client, token)

    assert {name: answers(token) for name, token in tokens.items()} == {
        "none": ("unauthorized", "10401"),
        "garbage": ("invalid_token", "10401"),
        "expired": ("expired_token", "10401"),
        "revoked": ("revoked_token", "10401"),
        "of another device": ("token_verification_failed", "10401"),
        "of nobody": ("user_lookup_error", "10003"),
    }
