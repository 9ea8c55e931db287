"""The tests that a machine store must pass."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from flask_aegis_machines._errors import MachineCodeTaken
from flask_aegis_machines._records import Owner, User
from flask_aegis_machines.stores import MachineStore

from ._machine_store_races import MachineStoreRaces
from ._sample import make_machine

__all__ = ["MachineStoreContract"]


class MachineStoreContract(MachineStoreRaces):
    """What every ``MachineStore`` must do. Subclasses override the fixtures ``store`` and ``owners``."""

    def test_a_machine_is_kept_as_it_came(
        self, store: MachineStore, reopened: MachineStore, owners: tuple[User, User]
    ) -> None:
        """A bound machine has every character of its facts, and the time of its binding in UTC."""
        machine = replace(
            make_machine("~!" * 16),
            machine_os_name="Ünïcode 系统 \U0001f600",
            machine_cpu="c" * 255,
            machine_motherboard=" 'quoted\" \\ %s :name {0} ",
            windows_product_id="",
            machine_platform="   ",
        )
        before = datetime.now(timezone.utc) - timedelta(seconds=2)
        store.bind(machine, owners[0])
        (kept,) = reopened.list_for(owners[0])
        assert replace(kept, registered_at=None) == machine
        assert kept.registered_at is not None
        assert kept.registered_at.utcoffset() == timedelta(0)
        assert before < kept.registered_at < datetime.now(timezone.utc) + timedelta(seconds=2)

    def test_a_given_timestamp_is_kept(
        self, store: MachineStore, reopened: MachineStore, owners: tuple[User, User]
    ) -> None:
        """A machine that brings its time of registration, as from a request, is stored with it."""
        registered_at = datetime(2024, 5, 31, 12, 34, 56, 789012, tzinfo=timezone.utc)
        store.bind(replace(make_machine(), registered_at=registered_at), owners[0])
        (kept,) = reopened.list_for(owners[0])
        assert kept.registered_at == registered_at

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

    def test_the_owner_is_recognized(
        self, store: MachineStore, reopened: MachineStore, owners: tuple[User, User]
    ) -> None:
        """The owner who binds the code again is refused as its owner, and nothing changes."""
        store.bind(make_machine(), owners[0])
        with pytest.raises(MachineCodeTaken) as taken:
            store.bind(replace(make_machine(), machine_cpu="another"), owners[0])
        assert taken.value.by_same_user
        owner = reopened.owner_of(make_machine().machine_code)
        assert owner is not None
        assert [owner.is_user(user) for user in owners] == [True, False]
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

    def test_pages_join_without_gap_or_repetition(
        self, store: MachineStore, owners: tuple[User, User]
    ) -> None:
        """Pages are oldest first, have only the user's machines, and stay right while some are added."""
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
        """A code of another user gives an empty page, as an unknown code does."""
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
        assert found is not None
        assert found[0] == kept
        assert Owner(found[1]).is_user(first)
        twin = make_machine().machine_code.upper()
        assert reopened.find(twin) is None
        store.bind(make_machine(twin), second)
        found = reopened.find(twin)
        assert found is not None
        assert found[0].machine_code == twin
        assert Owner(found[1]).is_user(second)

    def test_many_are_bound_as_each_would_be(
        self, store: MachineStore, reopened: MachineStore, owners: tuple[User, User]
    ) -> None:
        """Of many bound in one call each has its own outcome, also where a code comes twice."""
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
