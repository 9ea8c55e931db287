"""Tests that a store must pass: subclass a contract, supply its fixtures, and pytest runs the rest.

The README has a complete example. Have pytest explain failures in full with
``pytest.register_assert_rewrite("flask_aegis_machines.testing")`` in a ``conftest.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from threading import Barrier
from typing import TypeVar

import pytest

from ._errors import MachineCodeTaken, Refusal
from ._records import Machine, User
from .stores import MachineStore, UserStore

__all__ = ["MachineStoreContract", "UserStoreContract", "make_machine"]

_Argument = TypeVar("_Argument")

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


def make_machine(machine_code: str = "abcd1234efgh5678ijkl9012mnop3456") -> Machine:
    """Make a machine to test with: that of the API document.

    Args:
        machine_code: Its code, 32 characters.

    Returns:
        The machine, not bound to anybody.

    Raises:
        Nothing.
    """
    return Machine(
        machine_code=machine_code,
        windows_uuid="12345678-1234-1234-1234-123456789012",
        windows_product_id="12345-12345-12345-12345-12345",
        machine_os_name="Microsoft Windows 11",
        machine_os_version="10.0.22631",
        machine_architecture="x64",
        machine_architecture_type="AMD64",
        machine_platform="Win32",
        machine_cpu="12th Gen Intel(R) Core(TM) i7-12700K",
        machine_motherboard="ASUS PRIME Z690-A",
        machine_mac_address="00:11:22:33:44:55",
    )


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


class MachineStoreContract:
    """What every ``MachineStore`` must do. Subclasses override the fixtures ``store`` and ``owners``."""

    @pytest.fixture
    def store(self) -> MachineStore:
        """Return the store to test, empty."""
        raise NotImplementedError("Override the fixture 'store'.")

    @pytest.fixture
    def owners(self) -> tuple[User, User]:
        """Return two different users that exist for the store."""
        raise NotImplementedError("Override the fixture 'owners'.")

    @pytest.fixture
    def reopened(self, store: MachineStore) -> MachineStore:
        """Return another store on the same data, as after a restart; the same one, unless overridden."""
        return store

    def context(self) -> AbstractContextManager[object]:
        """Return what each thread of a test runs in, such as ``app.app_context()``; nothing by default."""
        return nullcontext()

    def test_a_machine_is_kept_as_it_came(
        self, store: MachineStore, reopened: MachineStore, owners: tuple[User, User]
    ) -> None:
        """A bound machine is there with every character of its facts and the moment of its binding in UTC."""
        machine = replace(
            make_machine("~!" * 16),
            machine_os_name="Ünïcode 系统 \U0001f600",
            machine_cpu="c" * 255,
            machine_motherboard=" 'quoted\" \\ %s :name {0} ",
        )
        before = datetime.now(timezone.utc) - timedelta(seconds=2)
        store.bind(machine, owners[0])
        (kept,) = reopened.list_for(owners[0])
        assert replace(kept, registered_at=None) == machine
        assert kept.registered_at is not None
        assert kept.registered_at.utcoffset() == timedelta(0)
        assert before < kept.registered_at < datetime.now(timezone.utc) + timedelta(seconds=2)

    def test_a_code_belongs_to_whoever_came_first(
        self, store: MachineStore, reopened: MachineStore, owners: tuple[User, User]
    ) -> None:
        """A second user is refused, gets nothing, and takes nothing away."""
        first, second = owners
        store.bind(make_machine(), first)
        with pytest.raises(MachineCodeTaken) as taken:
            store.bind(replace(make_machine(), machine_cpu="another"), second)
        assert not taken.value.by_same_user
        assert reopened.list_for(second) == []
        (kept,) = reopened.list_for(first)
        assert replace(kept, registered_at=None) == make_machine()

    def test_the_owner_is_told_apart(
        self, store: MachineStore, reopened: MachineStore, owners: tuple[User, User]
    ) -> None:
        """The owner who binds the code again is refused as its owner, and nothing changes."""
        store.bind(make_machine(), owners[0])
        with pytest.raises(MachineCodeTaken) as taken:
            store.bind(replace(make_machine(), machine_cpu="another"), owners[0])
        assert taken.value.by_same_user
        (kept,) = reopened.list_for(owners[0])
        assert kept.machine_cpu == make_machine().machine_cpu

    @pytest.mark.parametrize(
        "twin", ["ABCD1234EFGH5678IJKL9012MNOP3456", "abcd1234efgh5678ijkl9012mnop3457"], ids=["case", "last"]
    )
    def test_codes_are_compared_exactly(
        self, store: MachineStore, owners: tuple[User, User], twin: str
    ) -> None:
        """Codes that differ in case or in one character are different codes."""
        store.bind(make_machine(), owners[0])
        assert store.owner_of(twin) is None
        store.bind(make_machine(twin), owners[1])
        codes = [[machine.machine_code for machine in store.list_for(owner)] for owner in owners]
        assert codes == [[make_machine().machine_code], [twin]]

    def test_facts_decide_nothing(self, store: MachineStore, owners: tuple[User, User]) -> None:
        """Clones with equal UUIDs and MAC addresses are machines of their own."""
        codes = [f"{number:032}" for number in range(3)]
        for code in codes:
            store.bind(make_machine(code), owners[0])
        assert [machine.machine_code for machine in store.list_for(owners[0])] == codes

    def test_availability_follows_binding(self, store: MachineStore, owners: tuple[User, User]) -> None:
        """A code is available until somebody has it."""
        assert store.owner_of(make_machine().machine_code) is None
        store.bind(make_machine(), owners[0])
        assert store.owner_of(make_machine().machine_code) is not None

    def test_a_race_has_one_winner(
        self, store: MachineStore, reopened: MachineStore, owners: tuple[User, User]
    ) -> None:
        """Of many who bind one code at once, exactly one is told "yes", and that one has the machine."""
        contenders = [owners[number % 2] for number in range(16)]
        outcomes = self._at_once(contenders, lambda owner: store.bind(make_machine(), owner))
        refusals = [outcome for outcome in outcomes if outcome is not None]
        assert [type(refusal) for refusal in refusals] == [MachineCodeTaken] * 15
        winner = contenders[outcomes.index(None)]
        assert {user.key: len(reopened.list_for(user)) for user in owners} == {
            user.key: int(user is winner) for user in owners
        }
        assert all(
            refusal.by_same_user == (contender is winner)
            for contender, refusal in zip(contenders, outcomes, strict=True)
            if isinstance(refusal, MachineCodeTaken)
        )

    def test_different_codes_do_not_hinder_each_other(
        self, store: MachineStore, reopened: MachineStore, owners: tuple[User, User]
    ) -> None:
        """Everybody who binds a code of its own at once is told "yes"."""
        codes = [f"{number:032}" for number in range(16)]
        outcomes = self._at_once(codes, lambda code: store.bind(make_machine(code), owners[0]))
        assert outcomes == [None] * 16
        assert sorted(machine.machine_code for machine in reopened.list_for(owners[0])) == codes

    def test_pages_join_without_gap_or_repetition(
        self, store: MachineStore, owners: tuple[User, User]
    ) -> None:
        """Pages are oldest first, hold the user's own machines alone, and stay right while some are added."""
        codes = [f"{number:032}" for number in (5, 3, 4, 1, 2)]
        for code in codes[:4]:
            store.bind(make_machine(code), owners[0])
            store.bind(make_machine("x" + code[1:]), owners[1])
        first = store.list_for(owners[0], limit=2)
        store.bind(make_machine(codes[4]), owners[0])
        second = store.list_for(owners[0], after=first[-1].machine_code, limit=2)
        third = store.list_for(owners[0], after=second[-1].machine_code, limit=2)
        assert [machine.machine_code for machine in first + second + third] == codes
        assert store.list_for(owners[0], after=third[-1].machine_code) == []

    def test_a_page_after_a_strangers_machine_is_empty(
        self, store: MachineStore, owners: tuple[User, User]
    ) -> None:
        """A code that is not the user's own leads nowhere, and tells nothing."""
        store.bind(make_machine("1" * 31 + "x"), owners[0])
        store.bind(make_machine("2" * 31 + "x"), owners[1])
        store.bind(make_machine("4" * 31 + "x"), owners[0])
        assert store.list_for(owners[0], after="2" * 31 + "x") == []
        assert store.list_for(owners[0], after="3" * 31 + "x") == []

    def test_a_machine_is_found_with_its_owner(
        self, store: MachineStore, reopened: MachineStore, owners: tuple[User, User]
    ) -> None:
        """A store that can find a machine finds it by exactly its code, with the key of its owner."""
        first, second = owners
        store.bind(make_machine(), first)
        try:
            found = reopened.find(make_machine().machine_code)
        except NotImplementedError:
            pytest.skip("This store does not override find().")
        (kept,) = reopened.list_for(first)
        assert found == (kept, first.key)
        twin = make_machine().machine_code.upper()
        assert reopened.find(twin) is None
        store.bind(make_machine(twin), second)
        found = reopened.find(twin)
        assert found is not None
        assert (found[0].machine_code, found[1]) == (twin, second.key)

    def test_many_are_bound_as_each_would_be(
        self, store: MachineStore, reopened: MachineStore, owners: tuple[User, User]
    ) -> None:
        """Of many bound in one call each is told its own outcome, also where a code comes twice."""
        first, second = owners
        codes = [f"{number:032}" for number in range(3)]
        store.bind(make_machine(codes[0]), first)
        wanted = [(code, user) for code in codes for user in (second, first, second)]
        refusals = store.bind_many([(make_machine(code), user) for code, user in wanted])
        assert [
            "bound" if refusal is None else (type(refusal), getattr(refusal, "by_same_user", None))
            for refusal in refusals
        ] == [
            (MachineCodeTaken, False),
            (MachineCodeTaken, True),
            (MachineCodeTaken, False),
            *["bound", (MachineCodeTaken, False), (MachineCodeTaken, True)] * 2,
        ]
        kept = [[machine.machine_code for machine in reopened.list_for(user)] for user in owners]
        assert [sorted(each) for each in kept] == [codes[:1], codes[1:]]
        assert store.bind_many([]) == []

    def test_many_at_once_have_one_winner_for_each_code(
        self, store: MachineStore, reopened: MachineStore, owners: tuple[User, User]
    ) -> None:
        """Of several who bind the same codes at once in one call each, every code has exactly one winner."""
        codes = [f"{number:032}" for number in range(4)]
        outcomes: list[list[Refusal | None]] = []

        def bind_all(owner: User) -> None:
            outcomes.append(store.bind_many([(make_machine(code), owner) for code in codes]))

        failures = self._at_once([owners[number % 2] for number in range(8)], bind_all)
        assert failures == [None] * 8
        assert [sum(refusal is None for refusal in each) for each in zip(*outcomes, strict=True)] == [1] * 4
        kept = [machine.machine_code for user in owners for machine in reopened.list_for(user)]
        assert sorted(kept) == codes

    def _at_once(
        self, arguments: list[_Argument], call: Callable[[_Argument], object]
    ) -> list[Exception | None]:
        """Make the calls in as many threads, all let go at one moment; return what each raised."""
        start = Barrier(len(arguments), timeout=60)

        def attempt(argument: _Argument) -> Exception | None:
            with self.context():
                start.wait()
                try:
                    call(argument)
                except Exception as error:
                    return error
            return None

        with ThreadPoolExecutor(len(arguments)) as threads:
            return list(threads.map(attempt, arguments))
