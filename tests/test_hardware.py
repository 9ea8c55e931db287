"""Machines as they really are can be bound, and are listed as they were sent."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_aegis_machines._endpoint_definitions import GET
from flask_aegis_machines._records import MACHINE_FIELDS

from .support.hardware import FACTS, VALUES, fact_sets, stored
from .support.hosts import REGISTER_PATH, authorization

ABSENT = pytest.mark.parametrize("absent", ["", None], ids=["empty", "null"])


@ABSENT
def test_real_machines_are_bound_and_listed(app: Flask, client: FlaskClient, absent: str | None) -> None:
    """Every value comes back as it was sent, and a missing one as an empty string."""
    headers = authorization(app, "1")
    sent = list(fact_sets(absent))
    for number, facts in enumerate(sent):
        document = {"user_AegisSpeed_id": "ASD000001", "machine_code": f"{number:032x}x"[1:], **facts}
        answer = client.post(REGISTER_PATH, json=document, headers=headers)
        assert answer.status_code == 200, (facts, answer.json)
    listed: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    while not listed or after:
        body = {"user_AegisSpeed_id": "ASD000001", **after}
        data = client.post(GET.path, json=body, headers=headers).get_json()["data"]
        listed += data["machines"]
        after = {"after": data["next"]} if data["next"] else {}
    assert [{name: machine[name] for name in FACTS} for machine in listed] == [
        stored(facts) for facts in sent
    ]


def test_the_sample_is_varied() -> None:
    """It has missing, blank, padded, quoted and foreign values, and some hundred in all."""
    values = [value for each in VALUES.values() for value in each]
    strings = [value for value in values if value is not None]
    assert None in values
    assert any(value and not value.strip() for value in strings)
    assert any(value != value.strip() for value in strings)
    assert any('"' in value or "'" in value for value in strings)
    assert any(not value.isascii() for value in strings)
    assert len(values) > 300
    assert set(VALUES) <= set(MACHINE_FIELDS)
