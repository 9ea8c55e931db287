"""Signing in, and registering with the token of the login."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_jwt_extended import decode_token

from example_app import demo, login
from example_app.models import User, db
from tests.support.example import LOGIN, REGISTER, register, users_of


class TestLogin:
    """What POST /login returns."""

    @pytest.mark.parametrize("aegisspeed_id", ["ASD000001", "ASD000002"])
    def test_right_password_returns_a_token_for_that_user(
        self, app: Flask, client: FlaskClient, aegisspeed_id: str
    ) -> None:
        """The right password returns a token for that user, and nothing else."""
        answer = client.post("/login", json={**LOGIN, "user_AegisSpeed_id": aegisspeed_id})
        assert answer.status_code == 200
        assert answer.json.keys() == {"access_token"}
        user = db.session.scalar(db.select(User).filter_by(aegisspeed_id=aegisspeed_id))
        assert decode_token(answer.json["access_token"])["sub"] == str(user.id)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"password": "Demo"},
            {"password": ""},
            {"password": "demo\n"},
            {"user_AegisSpeed_id": "ASD000001 "},
            {"user_AegisSpeed_id": "ASD000009"},
            {"user_AegisSpeed_id": "asd000001"},
            {"user_AegisSpeed_id": "ASD000001\n"},
            {"user_AegisSpeed_id": "ASD00000\0"},
            {"user_AegisSpeed_id": ""},
            {"user_AegisSpeed_id": "' OR 1=1 --"},
        ],
    )
    def test_wrong_credentials_get_one_401(self, client: FlaskClient, wrong: dict[str, str]) -> None:
        """The response is the same 401, whether the AegisSpeed ID or the password is wrong."""
        answer = client.post("/login", json={**LOGIN, **wrong})
        assert answer.status_code == 401
        assert answer.json == {"message": "Wrong AegisSpeed ID or password."}

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"not JSON",
            b"\xff\xfe",
            b"null",
            b"[]",
            b'"ASD000001"',
            b"[" * 50_000,
            b"{}",
            b'{"user_AegisSpeed_id": "ASD000001"}',
            b'{"password": "demo"}',
            b'{"user_AegisSpeed_id": 9170, "password": "demo"}',
            b'{"user_AegisSpeed_id": "ASD000001", "password": 9170}',
            b'{"user_AegisSpeed_id": "ASD000001", "password": null}',
            b'{"user_AegisSpeed_id": ["ASD000001"], "password": {"$ne": ""}}',
            b'{"user_AegisSpeed_id": "ASD00000\\ud800", "password": "demo"}',
            b'{"user_AegisSpeed_id": "ASD000001", "password": "\\ud800"}',
        ],
    )
    def test_malformed_body_gets_400_without_values(self, client: FlaskClient, body: bytes) -> None:
        """A body that is not a JSON object with two strings gets a 400 that repeats none of it."""
        answer = client.post("/login", data=body, content_type="application/json")
        assert answer.status_code == 400
        assert answer.json == {
            "message": "Send a JSON object with the strings user_AegisSpeed_id and password."
        }

    def test_long_body_gets_413(self, client: FlaskClient) -> None:
        """A body of more than 64 KiB is refused before it is read as JSON."""
        assert client.post("/login", json={**LOGIN, "password": "x" * 2**16}).status_code == 413

    def test_form_is_refused(self, client: FlaskClient) -> None:
        """Credentials in a form, which a page of another site could send, are refused."""
        assert client.post("/login", data=LOGIN).status_code == 400

    def test_unknown_user_takes_as_long_as_a_known_one(
        self, app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One hash with the same parameters is checked, whether or not the user exists."""
        checked: list[str] = []
        check = login.check_password_hash

        def record(stored: str, password: str) -> bool:
            checked.append(stored.split("$")[0])
            return check(stored, password)

        monkeypatch.setattr(login, "check_password_hash", record)
        for aegisspeed_id in ["ASD000001", "ASD000009", "ASD00000\0"]:
            client.post("/login", json={"user_AegisSpeed_id": aegisspeed_id, "password": "wrong"})
        stored = users_of(app)["ASD000001"][1]
        assert checked == [stored.split("$")[0]] * 3

    def test_password_of_the_dummy_hash_signs_nobody_in(
        self, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A password that matches the dummy hash does not sign in."""
        monkeypatch.setattr(login, "DUMMY_HASH", login.generate_password_hash("found"))
        answer = client.post("/login", json={"user_AegisSpeed_id": "ASD000009", "password": "found"})
        assert answer.status_code == 401


class TestRegistration:
    """The mounted endpoint, with a token from the login."""

    def test_sample_is_the_one_of_the_api_document(self, document: dict[str, str]) -> None:
        """The sample machine is the request example of the API document."""
        assert document == demo.REQUEST_EXAMPLE

    def test_second_registration_is_refused_for_both_users(self, client: FlaskClient) -> None:
        """The first registration gets the documented 200; a second one, by either user, gets 10004."""
        first = register(client, "ASD000001")
        assert first.status_code == 200
        assert first.json == {
            "status": 200,
            "code": "10000",
            "result": "Machine registered successfully",
            "data": {"machine_code": "abcd1234efgh5678ijkl9012mnop3456", "user_id": "110***********1234"},
        }
        for aegisspeed_id in ["ASD000001", "ASD000002"]:
            later = register(client, aegisspeed_id)
            assert later.status_code == 409
            assert later.json["code"] == "10004"

    def test_request_without_token_is_refused(self, client: FlaskClient) -> None:
        """A request without a token gets 401/10401."""
        answer = client.post(REGISTER, json=demo.REQUEST_EXAMPLE)
        assert (answer.status_code, answer.json["code"]) == (401, "10401")
