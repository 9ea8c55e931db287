"""Machine codes that identify no machine."""

from __future__ import annotations

import hashlib
import re

import pytest

from flask_aegis_machines import _placeholders
from flask_aegis_machines._placeholders import is_placeholder

UUIDS = list(_placeholders._FIRMWARE_UUIDS)
MACHINE_IDS = list(_placeholders._MACHINE_IDS)
TEXTS = list(_placeholders._TEXTS_FOR_NOTHING)
SOURCES = [
    *_placeholders._FIRMWARE_UUIDS.values(),
    *_placeholders._MACHINE_IDS.values(),
    *_placeholders._TEXTS_FOR_NOTHING.values(),
]
CASES = [str.lower, str.upper, str.title]


def md5(text: str) -> str:
    """Hash as clients do."""
    return hashlib.md5(text.encode()).hexdigest()


@pytest.mark.parametrize("uuid", UUIDS)
def test_default_uuids_are_refused(uuid: str) -> None:
    """A UUID that firmware has by default is refused without hyphens, and as the MD5 of either case."""
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", uuid)
    assert all(is_placeholder(case(uuid.replace("-", ""))) for case in CASES)
    assert all(is_placeholder(md5(text)) for text in (uuid, uuid.upper()))


@pytest.mark.parametrize("machine_id", MACHINE_IDS)
def test_machine_ids_of_images_are_refused(machine_id: str) -> None:
    """All installations of an image share its ID, as it is and hashed."""
    assert re.fullmatch(r"[0-9a-f]{32}", machine_id)
    assert all(is_placeholder(case(machine_id)) for case in CASES)
    assert is_placeholder(md5(machine_id))


@pytest.mark.parametrize("text", TEXTS)
def test_hashes_of_nothing_are_refused(text: str) -> None:
    """The MD5 of what programs write for nothing is refused in any case."""
    assert all(is_placeholder(case(md5(text))) for case in CASES)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "None", "null", "NULL", "undefined", "unknown", "0", "N/A", "{}", "[]", md5("")),
        *("00000000-0000-0000-0000-000000000000", "00:00:00:00:00:00", "02:00:00:00:00:00"),
        *("To be filled by O.E.M.", "Default string"),
    ],
)
def test_the_list_has_what_clients_are_known_to_send(text: str) -> None:
    """These were named by those who read clients."""
    assert is_placeholder(md5(text))


@pytest.mark.parametrize("character", ["0", "f", "-", "~"])
def test_one_character_repeated_is_refused(character: str) -> None:
    """A code of one character is refused, one that differs in a single place is not."""
    assert is_placeholder(character * 32)
    assert not is_placeholder(character * 31 + "x")


@pytest.mark.parametrize("code", ["abcd" + "*" * 24 + "wxyz", "*" * 28 + "wxyz"])
def test_the_displayed_form_of_a_secret_is_refused(code: str) -> None:
    """The vendor's client shows 4 characters, 24 asterisks, 4 characters, which is 32 characters too."""
    assert is_placeholder(code)


@pytest.mark.parametrize(
    "code",
    [
        "abcd1234efgh5678ijkl9012mnop3456",
        "abcd" + "*" * 23 + "xwxyz",
        "4c4c4544004435108052b4c04f4b3032",
        md5("a machine"),
        "03000200040005000006000700080008",
    ],
)
def test_other_codes_pass(code: str) -> None:
    """What differs from a placeholder in one place is a code."""
    assert not is_placeholder(code)


def test_every_entry_has_its_source() -> None:
    """Nothing is refused on hearsay."""
    assert all(SOURCES)
    assert len(UUIDS) > 15
    assert len(MACHINE_IDS) > 5
