"""Hosts with tokens of their own: each ``verify`` here is a recipe, and each token a real one."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import NoReturn

import itsdangerous
import jwt
import pytest

from flask_aegis_machines import Unauthorized, bearer
from tests.servers import require_module
from tests.support.conforming import HANDLES_ERRORS
from tests.support.hosts import REGISTER_PATH, example
from tests.support.tokens import SECRET, ask, bearing, host

Verify = Callable[[str], object]
CLAIMS = {"sub": "1", "aud": "machines", "exp": int(time.time()) + 86400}
BAD_CLAIMS = {
    "expired": {**CLAIMS, "exp": 1},
    "without an expiry": {"sub": "1", "aud": "machines"},
    "for another audience": {**CLAIMS, "aud": "shop"},
    "without an audience": {"sub": "1", "exp": CLAIMS["exp"]},
}
GARBAGE = {token: token for token in ("x", "a.b.c", "e30.e30.e30", "\xe9.\xe9.\xe9")}


def answers(verify: Verify, tokens: dict[str, str]) -> dict[str, str]:
    """Register with each token, and with garbage; return the codes."""
    client = host(bearer(verify)).test_client()
    return {name: ask(client, token) for name, token in {**tokens, **GARBAGE}.items()}


def json_web_tokens() -> dict[str, str]:
    """Return a good token, bad ones of the right key, and others."""
    tokens = {name: jwt.encode(claims, SECRET, "HS256") for name, claims in BAD_CLAIMS.items()}
    good = jwt.encode(CLAIMS, SECRET, "HS256")
    head, body, signature = good.split(".")
    return {
        **tokens,
        "good": good,
        "of another key": jwt.encode(CLAIMS, SECRET[::-1], "HS256"),
        "with another algorithm": jwt.encode(CLAIMS, SECRET, "HS512"),
        "unsigned": jwt.encode(CLAIMS, None, "none"),
        "without its signature": f"{head}.{body}.",
        "with other claims": f"{head}.{body[:-4]}AAAA.{signature}",
    }


def with_pyjwt() -> Verify:
    demands = {"require": ["exp", "sub"]}

    def verify(token: str) -> object:
        try:
            claims = jwt.decode(token, SECRET, algorithms=["HS256"], audience="machines", options=demands)
        except jwt.InvalidTokenError:
            return None
        return claims["sub"]

    return verify


def with_authlib() -> Verify:
    require_module("authlib", "Authlib")
    from authlib.deprecate import AuthlibDeprecationWarning

    warnings.simplefilter("ignore", AuthlibDeprecationWarning)  # of the next import; joserfc is its heir
    from authlib.jose import JoseError, JsonWebToken

    tokens = JsonWebToken(["HS256"])
    demands = {"exp": {"essential": True}, "aud": {"essential": True, "value": "machines"}}

    def verify(token: str) -> object:
        try:
            claims = tokens.decode(token, SECRET, claims_options=demands)
            claims.validate()
        except JoseError:
            return None
        return claims["sub"]

    return verify


def with_joserfc() -> Verify:
    require_module("joserfc", "joserfc")
    from joserfc import jwt as jose
    from joserfc.errors import JoseError
    from joserfc.jwk import OctKey

    key = OctKey.import_key(SECRET)
    demands = jose.JWTClaimsRegistry(exp={"essential": True}, aud={"essential": True, "value": "machines"})

    def verify(token: str) -> object:
        try:
            claims = jose.decode(token, key, algorithms=["HS256"]).claims
            demands.validate(claims)
        except JoseError:
            return None
        return claims["sub"]

    return verify


@pytest.mark.parametrize("make", [with_pyjwt, with_authlib, with_joserfc])
def test_json_web_tokens(make: Callable[[], Verify]) -> None:
    """The library's good token binds; expired, foreign, forged and malformed ones are refused."""
    tokens = json_web_tokens()
    codes = answers(make(), tokens)
    assert codes == {**dict.fromkeys(codes, "10401"), "good": "10000"}


def test_itsdangerous(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the host has signed, with its time and for this purpose, binds for an hour."""
    serializer = itsdangerous.URLSafeTimedSerializer(SECRET, salt="machines")

    def verify(token: str) -> object:
        try:
            return serializer.loads(token, max_age=3600)
        except itsdangerous.BadData:
            return None

    def signed(age: int) -> str:
        with monkeypatch.context() as patch:
            then = int(time.time()) - age
            patch.setattr(itsdangerous.TimestampSigner, "get_timestamp", lambda signer: then)
            return str(serializer.dumps("1"))

    good = signed(3000)
    codes = answers(
        verify,
        {
            "good": good,
            "expired": signed(3700),
            "from the future": signed(-600),
            "for another purpose": itsdangerous.URLSafeTimedSerializer(SECRET, salt="mail").dumps("1"),
            "of another key": itsdangerous.URLSafeTimedSerializer(SECRET[::-1], salt="machines").dumps("1"),
            "without a time": itsdangerous.URLSafeSerializer(SECRET, salt="machines").dumps("1"),
            "for another user": "IjIi" + good[good.index(".") :],
        },
    )
    assert codes == {**dict.fromkeys(codes, "10401"), "good": "10000"}


class TestWhatVerifyRaises:
    """The host's own exceptions, and the one that is ours."""

    class LoginIsDown(Exception):
        """Raised by a host whose login service does not answer."""

    def test_the_host_s_handler_answers(self) -> None:
        """An outage of the host's login service is answered by the host, and the next request by us."""
        outages = [self.LoginIsDown("login.example")]

        def verify(token: str) -> object:
            if outages:
                raise outages.pop()
            return token

        app = host(bearer(verify))
        app.config[HANDLES_ERRORS] = True
        app.register_error_handler(self.LoginIsDown, lambda error: ({"theirs": "try again"}, 503))
        client = app.test_client()
        answer = client.post(REGISTER_PATH, json=example(), headers=bearing("1"))
        assert (answer.status_code, answer.json) == (503, {"theirs": "try again"})
        assert ask(client, "1") == "10000"

    def test_unauthorized_may_be_raised(self) -> None:
        """Where ``None`` is awkward, ``Unauthorized`` says the same."""

        def verify(token: str) -> NoReturn:
            raise Unauthorized

        assert ask(host(bearer(verify)).test_client(), "x") == "10401"
