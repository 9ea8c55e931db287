"""Which documents a schema lets through."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, Lock
from typing import Any

import pytest

from flask_aegis_machines import Machine
from flask_aegis_machines._errors import (
    AegisSpeedIdMismatch,
    InvalidAegisSpeedId,
    InvalidRequest,
    UserNotFound,
)
from flask_aegis_machines._records import MACHINE_FIELDS
from flask_aegis_machines._request_schemas import (
    LISTING,
    REGISTRATION,
    VERIFICATION,
    machine_from,
    machine_from_document,
    require_user,
)
from flask_aegis_machines._validation import Schema
from tests.support.hosts import FIRST

FACTS = MACHINE_FIELDS[1:]
NOT_STRINGS = [None, True, 0, 123456789, 1.5, ["a"] * 32, {"a": "b"}]
CONTROLS = ["\0", "\x1f", "\n", "\x7f", "\x80", "\x9f"]


def messages(document: dict[str, Any]) -> dict[str, list[str]]:
    """Return the messages that a document earns."""
    with pytest.raises(InvalidRequest) as refusal:
        REGISTRATION.validate(document)
    return refusal.value.errors


def test_the_documented_example_passes(document: dict[str, Any]) -> None:
    """The fields of a good document come out as they went in."""
    fields = REGISTRATION.validate(document)
    assert {name: fields[name] for name in document} == document


@pytest.mark.parametrize("good", ["~!#$%&'()", "a" * 9, '"\\/{}[]<>'])
def test_an_aegisspeed_id_is_nine_printable_ascii_characters(document: dict[str, Any], good: str) -> None:
    """Any printable ASCII character may stand in an AegisSpeed ID."""
    assert REGISTRATION.validate({**document, "user_AegisSpeed_id": good})["user_AegisSpeed_id"] == good


@pytest.mark.parametrize(
    "bad",
    [
        *NOT_STRINGS,
        *("", "ASD00001", "ASD0000001", "ASD 00001", "ASD000001\n", "\nASD00001", "ASD00000\n", "ASD00000é"),
        *("ASD00000\0", "ASD00000\x7f", "ASD00000\u0661", "ASD00000\ud800", "\uff21SD000001"),
    ],
)
def test_a_bad_aegisspeed_id_is_10002(document: dict[str, Any], bad: object) -> None:
    """Whatever else is wrong, an ill-formed AegisSpeed ID is named first."""
    with pytest.raises(InvalidAegisSpeedId):
        REGISTRATION.validate({**document, "user_AegisSpeed_id": bad, "machine_cpu": 7})


def test_a_missing_aegisspeed_id_is_10002() -> None:
    """An empty document lacks its AegisSpeed ID first of all."""
    with pytest.raises(InvalidAegisSpeedId):
        REGISTRATION.validate({})


@pytest.mark.parametrize(
    "bad",
    [
        *NOT_STRINGS,
        *(
            "",
            "x" * 31 + "y" * 2,
            "x" * 30 + "y",
            "x" * 31 + "\n",
            "x" * 32 + "\n",
            "xy" * 15 + "x ",
            "xy" * 15 + "xé",
        ),
        *("xy" * 15 + "x\0", "xy" * 15 + "x\ud800", "xy" * 15 + "x\u0661"),
    ],
)
def test_a_machine_code_is_32_printable_ascii_characters(document: dict[str, Any], bad: object) -> None:
    """Anything else is refused with a message that names the field and not the value."""
    found = messages({**document, "machine_code": bad})
    assert list(found) == ["machine_code"]
    assert not any(bad and str(bad) in message for message in found["machine_code"])


def test_placeholders_are_refused_in_registrations_only(document: dict[str, Any]) -> None:
    """An owner may have bound such a code before: the check and the list take any well-formed code."""
    code = "03000200040005000006000700080009"
    expected = {"machine_code": ["does not identify a machine"]}
    assert messages({**document, "machine_code": code}) == expected
    with pytest.raises(InvalidRequest) as refusal:
        machine_from_document({**document, "machine_code": code})
    assert refusal.value.errors == expected
    for schema, name in ((VERIFICATION, "machine_code"), (LISTING, "after")):
        sent = {"user_AegisSpeed_id": "ASD000001", name: code}
        assert schema.validate(sent)[name] == code


NOT_FACTS = [value for value in NOT_STRINGS if value is not None]


@pytest.mark.parametrize("field", FACTS)
@pytest.mark.parametrize("bad", [*NOT_FACTS, " \t", "x" * 256, "\ud800", "a\udfffb"])
def test_a_fact_is_at_most_255_characters_of_text(document: dict[str, Any], field: str, bad: object) -> None:
    """Anything else is refused with a message that names the field and not the value."""
    found = messages({**document, field: bad})
    assert list(found) == [field]
    assert len(found[field]) == 1


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("pattern", ["{}text", "te{}xt", "text{}"])
def test_a_fact_has_no_control_characters(document: dict[str, Any], control: str, pattern: str) -> None:
    """NUL, C0, DEL and C1 are refused wherever they stand."""
    assert list(messages({**document, "machine_cpu": pattern.format(control)})) == ["machine_cpu"]


@pytest.mark.parametrize(
    "good",
    ["", " ", "\u3000", "x", "x" * 255, "\U0001f600" * 255, " padded ", "系统 \u00a0 é", "<script>'\"--"],
)
def test_a_fact_may_be_any_other_text(document: dict[str, Any], good: str) -> None:
    """Unicode of any script passes unchanged; a length is counted in characters."""
    assert REGISTRATION.validate({**document, "machine_cpu": good})["machine_cpu"] == good


@pytest.mark.parametrize("field", FACTS)
def test_a_fact_may_be_null(document: dict[str, Any], field: str) -> None:
    """A machine that has no such thing is kept with an empty string."""
    machine = machine_from(REGISTRATION.validate({**document, field: None}))
    assert getattr(machine, field) == ""


@pytest.mark.parametrize("field", MACHINE_FIELDS)
def test_every_field_is_required(document: dict[str, Any], field: str) -> None:
    """A missing field is named."""
    del document[field]
    assert messages(document) == {field: ["required field"]}


def test_all_bad_fields_are_named_at_once(document: dict[str, Any]) -> None:
    """A client learns in one answer everything that it has to mend."""
    del document["machine_mac_address"]
    found = messages({**document, "machine_code": "short", "machine_cpu": 7})
    assert found == {
        "machine_code": ["must be exactly 32 printable ASCII characters without spaces"],
        "machine_cpu": ["must be of string type"],
        "machine_mac_address": ["required field"],
    }


def test_fields_of_newer_clients_are_ignored(document: dict[str, Any]) -> None:
    """A field that this server does not know is no error, whatever it holds."""
    validated = REGISTRATION.validate({**document, "tpm_key": {"deep": [None]}, "\ud800": "\0"})
    assert machine_from(validated) == Machine(**{name: document[name] for name in MACHINE_FIELDS})


@pytest.mark.parametrize("depth", [1, 400, 900])
@pytest.mark.parametrize("name", ["user_AegisSpeed_id", "machine_code", "machine_cpu"])
@pytest.mark.parametrize("ends", ["[]", "{}"])
def test_deep_values_are_refused_like_shallow_ones(
    document: dict[str, Any], name: str, depth: int, ends: str
) -> None:
    """Cerberus would copy a value in full, and run into the limit of Python's recursion."""
    value: object = []
    for _ in range(depth):
        value = [value] if ends == "[]" else {"deeper": value}
    kind = InvalidAegisSpeedId if name == "user_AegisSpeed_id" else InvalidRequest
    with pytest.raises(kind):
        REGISTRATION.validate({**document, name: value})


class TestMachineFromDocument:
    """Machines for work outside of a request."""

    def test_a_machine_is_made_by_the_rules_of_a_request(self, document: dict[str, Any]) -> None:
        """It needs no AegisSpeed ID, and ignores other fields."""
        facts = {name: value for name, value in document.items() if name != "user_AegisSpeed_id"}
        made = machine_from_document({**facts, "machine_cpu": None, "more": 1})
        assert made == Machine(**{**facts, "machine_cpu": ""})
        assert machine_from_document(document) == Machine(**facts)

    @pytest.mark.parametrize("code", ["", "x" * 40, "xy" * 15 + "x\0", None])
    def test_a_bad_code_is_refused(self, document: dict[str, Any], code: object) -> None:
        """What a request cannot bind, no task can."""
        with pytest.raises(InvalidRequest) as refusal:
            machine_from_document({**document, "machine_code": code})
        assert list(refusal.value.errors) == ["machine_code"]

    @pytest.mark.parametrize("document", [None, [], "text"])
    def test_no_object_is_refused(self, document: Any) -> None:
        """A message of a queue may be anything."""
        with pytest.raises(InvalidRequest) as refusal:
            machine_from_document(document)
        assert refusal.value.errors == {"body": ["must be a JSON object"]}


@pytest.mark.parametrize("value", [Lock(), {1, 2}, (1, (2,)), object(), b"x"], ids=type)
def test_what_json_cannot_hold_is_refused(document: dict[str, Any], value: object) -> None:
    """A task may pass anything, and gets the name of the field."""
    with pytest.raises(InvalidRequest) as refused:
        machine_from_document({**document, "machine_cpu": value})
    assert list(refused.value.errors) == ["machine_cpu"]


def test_checked_fields_show_no_value(document: dict[str, Any]) -> None:
    """Fields may stand in tracebacks and error reports."""
    assert repr(REGISTRATION.validate(document)) == "<ValidatedDocument, values withheld>"


LISTED = {"user_AegisSpeed_id": "ASD000001", "limit": 5}


def test_threads_do_not_share_a_result() -> None:
    """Good and bad documents that Cerberus checks at once each get their own result."""
    schema = Schema(LISTING.rules)
    start = Barrier(8)

    def count_passes(number: int) -> int:
        passes = 0
        start.wait(60)
        for _ in range(300):
            with suppress(InvalidRequest):
                schema.validate({**LISTED, "limit": 0} if number % 2 else LISTED)
                passes += 1
        return passes

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(count_passes, range(8))) == [300, 0] * 4


def test_another_validator_is_made_while_all_are_in_use() -> None:
    """No request waits for one."""
    schema = Schema(LISTING.rules)
    schema._idle.clear()
    assert schema.validate(LISTED)["limit"] == 5
    assert len(schema._idle) == 1


def test_a_validator_is_made_once_and_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Making one costs more than using it; while it waits, it holds no document."""
    schema = Schema(LISTING.rules)
    monkeypatch.setattr(schema, "_new_validator", pytest.fail)
    for _ in range(3):
        schema.validate(LISTED)
    with pytest.raises(InvalidRequest):
        schema.validate({**LISTED, "limit": 70707})
    (validator,) = schema._idle
    assert "70707" not in repr(vars(validator))


ODD = [
    *NOT_STRINGS,
    *["", " ", "a", "a" * 9, "a" * 10, "ASD00000 ", "ASD00000\n", "\u0661" * 9],
    *["x" * 32, "ab" * 16, "ab" * 15 + "a\n", "ab" * 16 + "\n", "x" * 255, "x" * 256],
    *["a\0b", "a\x85b", "\ud800", "\u2028", "a\u2028", "\ufeff"],
    *(case(hashlib.md5(b"").hexdigest()) for case in (str, str.upper, str.title)),
    *("fe" * 16, "*" * 32, "abcd" + "*" * 24 + "wxyz"),
]


@pytest.mark.parametrize("schema", [REGISTRATION, VERIFICATION])
@pytest.mark.parametrize("name", ["user_AegisSpeed_id", "machine_code", "machine_cpu"])
def test_what_passes_without_cerberus_is_what_passes_with_it(
    schema: Schema, name: str, document: dict[str, Any]
) -> None:
    """The compiled patterns and Cerberus decide alike for every odd value."""
    good = {field: document[field] for field in schema.rules}
    assert schema._is_plainly_valid(good)
    for value in ODD:
        odd = {**good, name: value}
        assert schema._is_plainly_valid(odd) == (not schema._errors(odd)), value
    good.popitem()
    assert not schema._is_plainly_valid(good)


def test_optional_fields_and_integers_are_checked_by_cerberus() -> None:
    """Optional fields and integers have no compiled pattern."""
    assert not LISTING._is_plainly_valid({"user_AegisSpeed_id": "ASD000001"})


def test_the_user_must_have_the_requested_id() -> None:
    """The AegisSpeed ID in the request is compared exactly with that of the token's user."""
    assert require_user(FIRST, "ASD000001") is FIRST
    for other in ("ASD000002", "asd000001"):
        with pytest.raises(AegisSpeedIdMismatch):
            require_user(FIRST, other)


def test_a_deleted_user_is_not_found() -> None:
    """A token whose user does not exist is refused as such, whatever ID the request has."""
    with pytest.raises(UserNotFound):
        require_user(None, "ASD000001")
