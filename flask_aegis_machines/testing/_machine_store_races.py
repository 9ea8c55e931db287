"""The fixtures of a machine store under test, and what it must do when many bind at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from threading import Barrier
from typing import TypeVar

import pytest

from flask_aegis_machines._errors import MachineCodeTaken, Refusal
from flask_aegis_machines._records import User
from flask_aegis_machines.stores import MachineStore

from ._sample import make_machine

__all__ = ["MachineStoreRaces"]

_Argument = TypeVar("_Argument")


class MachineStoreRaces:
    """What every ``MachineStore`` must do when many threads use it at once."""

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

    def test_a_race_has_one_winner(
        self, store: MachineStore, reopened: MachineStore, owners: tuple[User, User]
    ) -> None:
        """Of many who bind one code at once, exactly one succeeds, and that one has the machine."""
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
        """All who bind different codes at once succeed."""
        codes = [f"{number:032}" for number in range(16)]
        outcomes = self._at_once(codes, lambda code: store.bind(make_machine(code), owners[0]))
        assert outcomes == [None] * 16
        assert sorted(machine.machine_code for machine in reopened.list_for(owners[0])) == codes

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
        """Make the calls in as many threads, all started at once; return what each raised."""
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
