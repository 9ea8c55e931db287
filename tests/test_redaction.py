"""The ID number as it leaves the process."""

from __future__ import annotations

import pytest

from flask_aegis_machines._redaction import redact


@pytest.mark.parametrize(
    ("clear", "shown"),
    [
        ("110101199003071234", "110***********1234"),
        ("123456789012345", "123********2345"),
        ("12345678901234", "1************4"),
        ("12345678", "1******8"),
        ("1234567", "*******"),
        ("1", "*"),
        ("", ""),
    ],
)
def test_as_many_stars_as_hidden_characters(clear: str, shown: str) -> None:
    """Each length is redacted as documented, the bounds of each range included."""
    assert redact(clear) == shown
