"""A client that knows the API only from the API document, and nothing of this package.

Paths, fields, keys, types and codes are written here as the API document has them.
"""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_jwt_extended import create_access_token

REGISTER = "/machine/register/register_machine_info_by_aegisspeed_id"
CHECK = "/verify/verify_is_machine_code_available_by_aegisspeed_id"

REQUEST: dict[str, Any] = {
    "user_AegisSpeed_id": "ASD000001",
    "machine_code": "abcd1234efgh5678ijkl9012mnop3456",
    "windows_uuid": "12345678-1234-1234-1234-123456789012",
    "windows_product_id": "12345-12345-12345-12345-12345",
    "machine_os_name": "Microsoft Windows 11",
    "machine_os_version": "10.0.22631",
    "machine_architecture": "64bit",
    "machine_architecture_type": "WindowsPE",
    "machine_platform": "windows 11",
    "machine_cpu": None,  # no wmic since Windows 11 24H2
    "machine_motherboard": "ASUSTeK COMPUTER INC.PRIME Z690-A",
    "machine_mac_address": "00-11-22-33-44-55",
}


class DocumentedClient:
    """Reads each answer by the documented keys and types."""

    def __init__(self, http: FlaskClient, aegisspeed_id: str, token: str) -> None:
        self.http = http
        self.aegisspeed_id = aegisspeed_id
        self.headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}

    def check(self, code: str) -> tuple[int, str, str, bool]:
        """Check a machine code."""
        sent = {"user_AegisSpeed_id": self.aegisspeed_id, "machine_code": code}
        response = self.http.post(CHECK, json=sent, headers=self.headers)
        answer = response.get_json()
        assert list(map(type, (answer["status"], answer["code"], answer["info"], answer["result"]))) == [
            *(int, str, str, bool)
        ]
        assert answer.keys() == {"status", "code", "info", "result"}
        assert answer["status"] == response.status_code
        return answer["status"], answer["code"], answer["info"], answer["result"]

    def bind(self, **changes: object) -> tuple[int, str, str, dict[str, Any]]:
        """Register the machine."""
        sent = {**REQUEST, "user_AegisSpeed_id": self.aegisspeed_id, **changes}
        response = self.http.post(REGISTER, json=sent, headers=self.headers)
        answer = response.get_json()
        assert list(map(type, (answer["status"], answer["code"], answer["result"], answer["data"]))) == [
            *(int, str, str, dict)
        ]
        assert answer.keys() == {"status", "code", "result", "data"}
        assert answer["status"] == response.status_code
        return answer["status"], answer["code"], answer["result"], answer["data"]


@pytest.fixture
def sign_in(app: Flask) -> Any:
    """Give the client of a user who has signed in."""

    def sign_in(number: int) -> DocumentedClient:
        with app.app_context():
            token = create_access_token(str(number))
        return DocumentedClient(app.test_client(), f"ASD00000{number}", token)

    return sign_in


def test_a_client_written_from_the_api_document_is_served(sign_in: Any) -> None:
    """Check, bind, check, bind again, and another user: each answer is the documented one."""
    first, second, code = sign_in(1), sign_in(2), REQUEST["machine_code"]
    bound = {"machine_code": code, "user_id": "110***********1234"}
    assert first.check(code) == (200, "10000", "Machine code not bound", False)
    assert first.bind() == (200, "10000", "Machine registered successfully", bound)
    assert first.check(code) == (200, "10002", "Machine code already bound to this user", True)
    assert first.bind() == (409, "10004", "Machine code already registered", {})
    assert second.check(code) == (200, "10003", "Machine code already bound", True)
    assert second.bind() == (409, "10004", "Machine code already registered", {})


def test_the_documented_errors_are_read(app: Flask, sign_in: Any) -> None:
    """Closed endpoints, an invalid ID and another user's ID have the documented answers."""
    client, code = sign_in(1), REQUEST["machine_code"]
    assert client.bind(user_AegisSpeed_id="ASD1") == (400, "10002", "Invalid user AegisSpeed ID", {})
    mismatch = (403, "10006", "User AegisSpeed ID does not match", {})
    assert client.bind(user_AegisSpeed_id="ASD000002") == mismatch
    missing = sign_in(3).bind(user_AegisSpeed_id="ASD000003")
    assert missing == (404, "10003", "User does not exist", {})
    client.aegisspeed_id = "ASD1"
    assert client.check(code) == (400, "10002", "Invalid user AegisSpeed ID", False)
    app.config.update(AEGIS_MACHINES_REGISTER_OPEN=False, AEGIS_MACHINES_VERIFY_OPEN=False)
    assert client.bind() == (403, "10001", "Server has not opened this endpoint", {})
    assert client.check(code) == (403, "10001", "Server has not opened this endpoint", False)
