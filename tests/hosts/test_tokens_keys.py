"""Hosts with Flask-JWT-Extended: keys of every kind, those that are missing and those that do not fit."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any, NamedTuple, NoReturn

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.support.hosts import REGISTER_PATH, example
from tests.support.tokens import SECRET, access_token, ask, bearing, jwt_host, manager_of


class Pair(NamedTuple):
    """A key of the host's as its config has it."""

    private: str
    public: str


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> Pair:
    """Write a key as PEM."""
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return Pair(private.decode(), public.decode())


@pytest.fixture(scope="module")
def pairs() -> dict[str, tuple[Pair, Pair]]:
    """For each algorithm the key of the host and one of a stranger."""
    return {
        "RS256": (pem(rsa.generate_private_key(65537, 2048)), pem(rsa.generate_private_key(65537, 2048))),
        "ES256": (pem(ec.generate_private_key(ec.SECP256R1())), pem(ec.generate_private_key(ec.SECP256R1()))),
    }


def claims(**changes: object) -> dict[str, Any]:
    """Return what another service puts into a token of the first user."""
    return {"sub": "1", "type": "access", "jti": "a", "exp": int(time.time()) + 60, **changes}


def forge(algorithm: str, key: str) -> str:
    """Sign with HMAC whatever the header says and the key is; PyJWT would refuse to."""

    def encode(part: bytes) -> str:
        return base64.urlsafe_b64encode(part).rstrip(b"=").decode()

    parts = ({"alg": algorithm, "typ": "JWT"}, claims())
    text = ".".join(encode(json.dumps(part).encode()) for part in parts)
    return f"{text}.{encode(hmac.digest(key.encode(), text.encode(), hashlib.sha256))}"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
class TestKeyPairs:
    """A host that signs with a private key, or that has only the public one."""

    def test_a_host_that_signs_itself(self, pairs: dict[str, tuple[Pair, Pair]], algorithm: str) -> None:
        """What the host's private key signed, its public key verifies."""
        own, _ = pairs[algorithm]
        keys = {"JWT_PRIVATE_KEY": own.private, "JWT_PUBLIC_KEY": own.public}
        app = jwt_host(JWT_SECRET_KEY=None, JWT_ALGORITHM=algorithm, **keys)
        assert ask(app.test_client(), access_token(app)) == "10000"

    def test_another_service_signs(self, pairs: dict[str, tuple[Pair, Pair]], algorithm: str) -> None:
        """With only the public key, a stranger's token, a forged one and an expired one are refused."""
        own, stranger = pairs[algorithm]
        app = jwt_host(JWT_ALGORITHM=algorithm, JWT_PUBLIC_KEY=own.public)
        tokens = {
            "good": jwt.encode(claims(), own.private, algorithm),
            "of another key": jwt.encode(claims(), stranger.private, algorithm),
            "expired": jwt.encode(claims(exp=1), own.private, algorithm),
            "by the public key": forge("HS256", own.public),
            "by the public key, with our algorithm": forge(algorithm, own.public),
            "by a secret that is not in use": jwt.encode(claims(), SECRET, "HS256"),
            "unsigned": jwt.encode(claims(), None, "none"),
        }
        client = app.test_client()
        answers = {name: ask(client, token) for name, token in tokens.items()}
        assert answers == {**dict.fromkeys(tokens, "10401"), "good": "10000"}


def test_forgeries_would_be_good_with_a_secret() -> None:
    """Each token that ``forge`` makes is refused only for its key."""
    assert ask(jwt_host().test_client(), forge("HS256", SECRET)) == "10000"


def test_a_host_that_changes_its_keys() -> None:
    """The key that ``decode_key_loader`` picks by the token's header is used; an unknown key is 10401."""
    app = jwt_host(JWT_SECRET_KEY=None)
    keys = {"old": SECRET, "new": SECRET[::-1]}

    @manager_of(app).decode_key_loader
    def find_key(header: dict[str, str], payload: dict[str, str]) -> str:
        if header.get("kid") not in keys:
            raise jwt.InvalidTokenError("unknown key")
        return keys[header["kid"]]

    client = app.test_client()
    tokens = [jwt.encode(claims(), key, "HS256", headers={"kid": kid}) for kid, key in keys.items()]
    assert [ask(client, token) for token in tokens] == ["10000", "10000"]
    mixed = jwt.encode(claims(), keys["new"], "HS256", headers={"kid": "old"})
    unknown = jwt.encode(claims(), keys["new"], "HS256", headers={"kid": "other"})
    assert [ask(client, token) for token in (mixed, unknown)] == ["10401", "10401"]


@pytest.mark.parametrize("error", [KeyError("kid"), jwt.exceptions.PyJWKClientError("no such key")], ids=type)
def test_a_loader_that_finds_no_key(error: Exception) -> None:
    """Most look the key ID up in a dictionary or at a server, and raise what that raises."""
    app = jwt_host(JWT_SECRET_KEY=None)

    @manager_of(app).decode_key_loader
    def find_key(header: dict[str, str], payload: dict[str, str]) -> str:
        if "kid" in header:
            return SECRET
        raise error

    tokens = [jwt.encode(claims(), SECRET, "HS256", headers=headers) for headers in ({"kid": "a"}, {})]
    assert [ask(app.test_client(), token) for token in tokens] == ["10000", "10401"]


def test_a_blocklist_that_fails_is_the_host_s() -> None:
    """What it raises goes to the error handlers of the host."""
    app = jwt_host()

    @manager_of(app).token_in_blocklist_loader
    def is_blocked(header: dict[str, str], payload: dict[str, str]) -> bool:
        raise KeyError("redis")

    app.testing = True
    with pytest.raises(KeyError, match="redis"):
        app.test_client().post(REGISTER_PATH, json=example(), headers=bearing(access_token(app)))


@pytest.mark.skipif(not hasattr(jwt.exceptions, "PyJWKClientConnectionError"), reason="from PyJWT 2.8 on")
def test_a_server_of_keys_that_is_away_is_the_host_s() -> None:
    """It says nothing about the token."""
    app = jwt_host(JWT_SECRET_KEY=None)

    @manager_of(app).decode_key_loader
    def find_key(header: dict[str, str], payload: dict[str, str]) -> str:
        raise jwt.exceptions.PyJWKClientConnectionError("away")

    app.testing = True
    token = jwt.encode(claims(), SECRET, "HS256")
    with pytest.raises(jwt.exceptions.PyJWKClientConnectionError):
        app.test_client().post(REGISTER_PATH, json=example(), headers=bearing(token))


@pytest.mark.parametrize(
    ("key", "code"), [(None, "10401"), ("", "10401"), (7, "10005")], ids=["none", "empty", "number"]
)
def test_a_token_for_which_the_host_has_no_key(key: Any, code: str) -> None:
    """A client may name any key in a token: no error of the server follows. A key of a wrong type is one."""
    app = jwt_host(JWT_SECRET_KEY=None)
    manager_of(app).decode_key_loader(lambda header, payload: key)
    token = jwt.encode(claims(), SECRET, "HS256", headers={"kid": "forged"})
    assert ask(app.test_client(), token) == code


def test_a_key_loader_that_fails_for_a_token_is_the_host_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it raises on the second call is no verdict on the token."""
    app = jwt_host(JWT_SECRET_KEY=None)
    keys = iter([7, 7])
    manager_of(app).decode_key_loader(lambda header, payload: next(keys))
    token = jwt.encode(claims(), SECRET, "HS256")
    assert ask(app.test_client(), token) == "10005"


def test_the_secret_of_flask_will_do() -> None:
    """A host without a JWT_SECRET_KEY signs with its SECRET_KEY."""
    app = jwt_host(JWT_SECRET_KEY=None, SECRET_KEY=SECRET)
    assert ask(app.test_client(), access_token(app)) == "10000"


MALFORMED = "-----BEGIN PUBLIC KEY-----\nc2VjcmV0IHNlY3JldCBzZWNyZXQ=\n-----END PUBLIC KEY-----\n"


class TestWrongKeys:
    """A key that cannot verify any token is a wrong set-up: 10005, and the log says what to do."""

    @pytest.mark.parametrize(
        ("algorithm", "name", "key"),
        [
            ("HS256", "JWT_SECRET_KEY", None),
            ("HS256", "JWT_SECRET_KEY", 12345678901234567890),
            ("HS256", "JWT_SECRET_KEY", MALFORMED),
            ("RS256", "JWT_PUBLIC_KEY", None),
            ("RS256", "JWT_PUBLIC_KEY", MALFORMED),
            ("RS256", "JWT_PUBLIC_KEY", SECRET),
            ("ES256", "JWT_PUBLIC_KEY", None),
            ("ES256", "JWT_PUBLIC_KEY", MALFORMED),
            ("ES256", "JWT_PUBLIC_KEY", SECRET),
        ],
        ids=[
            "no secret",
            "a number",
            "HS256 with a PEM",
            "no key for RS256",
            "RS256 with a malformed PEM",
            "RS256 with a secret",
            "no key for ES256",
            "ES256 with a malformed PEM",
            "ES256 with a secret",
        ],
    )
    def test_missing_and_malformed(
        self, algorithm: str, name: str, key: object, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A key that is not there, or that is none, is reported in the log and not shown."""
        app = jwt_host(**{"JWT_ALGORITHM": algorithm, name: key})
        assert ask(app.test_client(), forge(algorithm, SECRET)) == "10005"
        self.assert_reported(caplog, str(key or SECRET))

    @pytest.mark.parametrize(("algorithm", "other"), [("RS256", "ES256"), ("ES256", "RS256")])
    def test_of_another_algorithm(
        self,
        pairs: dict[str, tuple[Pair, Pair]],
        algorithm: str,
        other: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """A public key of the wrong kind is reported in the log and not shown."""
        key = pairs[other][0].public
        app = jwt_host(JWT_ALGORITHM=algorithm, JWT_PUBLIC_KEY=key)
        token = jwt.encode(claims(), pairs[algorithm][0].private, algorithm)
        assert ask(app.test_client(), token) == "10005"
        self.assert_reported(caplog, key)

    def test_a_private_key_in_the_place_of_the_public_one(
        self, pairs: dict[str, tuple[Pair, Pair]], caplog: pytest.LogCaptureFixture
    ) -> None:
        """The two halves swapped are reported in the log, and the private one is not shown."""
        own, _ = pairs["RS256"]
        app = jwt_host(JWT_ALGORITHM="RS256", JWT_PUBLIC_KEY=own.private)
        assert ask(app.test_client(), jwt.encode(claims(), own.private, "RS256")) == "10005"
        self.assert_reported(caplog, own.private)

    def assert_reported(self, caplog: pytest.LogCaptureFixture, key: str) -> None:
        """Assert that the log says what to do, and shows no line of the key."""
        (record,) = caplog.records
        assert record.name == "flask_aegis_machines"
        assert "ConfigurationError" in caplog.text
        assert "JWT_SECRET_KEY" in caplog.text
        assert "JWT_PUBLIC_KEY" in caplog.text
        assert [line for line in key.splitlines() if "-----" not in line and line in caplog.text] == []

    def test_without_a_token_nothing_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        """Requests that no key is needed for are refused as everywhere."""
        client = jwt_host(JWT_SECRET_KEY=None).test_client()
        assert [ask(client), ask(client, "x"), ask(client, "a.b.c")] == ["10401"] * 3
        assert caplog.records == []

    @pytest.mark.parametrize("error", [AttributeError, RuntimeError, TypeError, ValueError])
    def test_what_a_callback_raises_is_no_matter_of_keys(self, error: type[Exception]) -> None:
        """The same exceptions, raised by the host's blocklist, stay the host's."""
        app = jwt_host()
        app.testing = True

        def fail(header: object, payload: object) -> NoReturn:
            raise error("of the blocklist")

        manager_of(app).token_in_blocklist_loader(fail)
        with pytest.raises(error, match="of the blocklist"):
            ask(app.test_client(), access_token(app))
