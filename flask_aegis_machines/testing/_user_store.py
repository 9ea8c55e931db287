"""The tests that a user store must pass."""

from __future__ import annotations

import pytest

from flask_aegis_machines._records import User
from flask_aegis_machines.stores import UserStore

__all__ = ["UserStoreContract"]

_IMPOSSIBLE_IDENTITIES = {
    "empty": "",
    "words": "no such user",
    "zero": "0",
    "negative": "-1",
    "beyond 64 bits": "9" * 30,
    "beyond the digits that Python converts": "9" * 5000,
    "fraction": "1.5",
    "NUL": "1\0",
    "lone surrogate": "\ud800",
    "emoji": "\U0001f600",
    "nil UUID": "00000000-0000-0000-0000-000000000000",
    "SQL": "1' OR '1'='1",
}


class UserStoreContract:
    """What every ``UserStore`` must do. Subclasses override the fixtures ``store`` and ``user``."""

    @pytest.fixture
    def store(self) -> UserStore:
        """Return the store to test, with ``user`` in it."""
        raise NotImplementedError("Override the fixture 'store'.")

    @pytest.fixture
    def user(self) -> User:
        """Return the user that ``store`` has."""
        raise NotImplementedError("Override the fixture 'user'.")

    @pytest.fixture
    def identity(self, user: User) -> str:
        """Return the identity that leads to ``user``; its key as a string, unless overridden."""
        return str(user.key)

    def test_a_known_identity_leads_to_its_user(self, store: UserStore, user: User, identity: str) -> None:
        """A token's identity finds exactly the user it was made for."""
        assert store.get(identity) == user

    @pytest.mark.parametrize("unknown", _IMPOSSIBLE_IDENTITIES.values(), ids=_IMPOSSIBLE_IDENTITIES)
    def test_an_identity_that_nobody_has_is_no_user(
        self, store: UserStore, user: User, identity: str, unknown: str
    ) -> None:
        """An identity that is nobody's, or that cannot be one, is "no such user" and breaks nothing."""
        assert store.get(unknown) is None
        assert store.get(identity) == user

    @pytest.mark.parametrize("change", [" {}", "{} ", "{}\n", "+{}", "0{}"])
    def test_an_identity_is_compared_exactly(
        self, store: UserStore, user: User, identity: str, change: str
    ) -> None:
        """An identity with something added is another identity."""
        assert store.get(change.format(identity)) is None
