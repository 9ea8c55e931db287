"""What is bound of the rows of a file, by the rules of a request."""

from __future__ import annotations

import io
import re
import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from flask_aegis_machines import Machine, StoreFailure, User
from flask_aegis_machines._csv_import import Outcome, import_machines
from flask_aegis_machines._csv_rows import COLUMNS, REGISTERED_AT, Row, read_rows
from flask_aegis_machines._errors import MachineCodeTaken, Refusal
from flask_aegis_machines._records import MACHINE_FIELDS
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore
from tests.support.csv_files import CODES, FACTS, HEADER, line_of, read
from tests.support.hosts import FIRST, SECOND

Import = Callable[..., list[Outcome]]


@pytest.fixture
def run(users: MemoryUserStore, machines: MemoryMachineStore) -> Import:
    """Import lines, the first of which is numbered 2."""

    def run(*lines: str, header: str = HEADER) -> list[Outcome]:
        return list(import_machines(read("\n".join([header, *lines])), users.get_any, machines.bind_many))

    return run


class TestRules:
    """The checks of a request, and one owner for each code."""

    def test_good_lines_are_bound(self, run: Import, machines: MemoryMachineStore) -> None:
        """A machine is bound to the user of its identity, with every fact of its line."""
        assert run(line_of(CODES[1], FIRST), line_of(CODES[2], SECOND)) == [
            Outcome(2, "bound"),
            Outcome(3, "bound"),
        ]
        for user, code in ((FIRST, CODES[1]), (SECOND, CODES[2])):
            (kept,) = machines.list_for(user)
            assert [getattr(kept, name) for name in MACHINE_FIELDS] == [code, *FACTS]

    @pytest.mark.parametrize(
        ("changes", "reasons"),
        [
            ({"identity": "99"}, ["10003 User does not exist"]),
            ({"identity": ""}, ["10003 User does not exist"]),
            ({"user_AegisSpeed_id": "ASD000002"}, ["10006 User AegisSpeed ID does not match"]),
            ({"user_AegisSpeed_id": "ASD"}, ["10002 user_AegisSpeed_id: Invalid user AegisSpeed ID"]),
            ({"machine_code": "0" * 32}, ["10400 machine_code: does not identify a machine"]),
            (
                {"machine_code": "secret", "machine_cpu": "secret\1"},
                ["10400 machine_code: must be exactly 32 .*", "10400 machine_cpu: must be .*"],
            ),
            ({"machine_cpu": "secret\nsecret"}, ["10400 machine_cpu: must be .*"]),
        ],
    )
    def test_a_refusal_names_code_field_and_reason(
        self, run: Import, machines: MemoryMachineStore, changes: dict[str, str], reasons: list[str]
    ) -> None:
        """A line is refused for what a request is refused for. Its values are not repeated."""
        (outcome,) = run(line_of(**changes))
        assert outcome.kind == "refused"
        assert len(outcome.reasons) == len(reasons)
        assert all(map(re.fullmatch, reasons, outcome.reasons))
        assert "secret" not in repr(outcome)
        assert [machines.list_for(user) for user in (FIRST, SECOND)] == [[], []]

    @pytest.mark.parametrize("strange", ["\0", "\udce9"], ids=["NUL", "not UTF-8"])
    def test_bytes_that_are_no_text_cost_their_line(
        self, users: MemoryUserStore, machines: MemoryMachineStore, strange: str
    ) -> None:
        """NUL and bytes that are not UTF-8 are refused in every column."""
        lines = [line_of(**{column: "@"}).replace("@", strange) for column in COLUMNS]
        rows = read_rows(io.StringIO("\n".join([HEADER, *lines, line_of()])))
        outcomes = list(import_machines(rows, users.get_any, machines.bind_many))
        assert [outcome.kind for outcome in outcomes] == ["refused"] * len(COLUMNS) + ["bound"]

    def test_a_row_that_cannot_be_read_is_refused(self, run: Import) -> None:
        """The report says why, and names the last line of the row."""
        text = "10400 row: must have as many fields as the first line, in quotes that close"
        assert run("x", '"' + line_of(CODES[1]), '"', line_of(CODES[2])) == [
            Outcome(2, "refused", (text,)),
            Outcome(3, "refused", (f"{text}; the lines up to 4 were read as one row",)),
            Outcome(5, "bound"),
        ]

    @pytest.mark.parametrize("distance", [1, 500], ids=["in one batch", "in two batches"])
    def test_a_code_twice_in_a_file_has_one_owner(
        self, run: Import, machines: MemoryMachineStore, distance: int
    ) -> None:
        """The first line wins. A repetition by its owner is "bound before", by others it is refused."""
        filler = [line_of(code) for code in CODES[1000 : 1000 + distance - 1]]
        outcomes = run(line_of(CODES[1]), *filler, line_of(CODES[1]), line_of(CODES[1], SECOND))
        assert [(outcome.kind, outcome.reasons) for outcome in (outcomes[0], *outcomes[-2:])] == [
            ("bound", ()),
            ("bound before", ()),
            ("refused", ("10004 Machine code already registered",)),
        ]
        assert machines.list_for(SECOND) == []

    def test_a_second_run_changes_nothing(self, run: Import, machines: MemoryMachineStore) -> None:
        """What an earlier run bound is passed over, and stays as it was."""
        run(line_of(CODES[1]))
        before = machines.list_for(FIRST)
        outcomes = run(line_of(CODES[1], machine_cpu="another"), line_of(CODES[2]))
        assert [outcome.kind for outcome in outcomes] == ["bound before", "bound"]
        assert machines.list_for(FIRST)[:1] == before

    def test_outcomes_come_in_the_order_of_the_file(self, run: Import) -> None:
        """Refused and bound lines are in one order, over any number of batches."""
        lines = [line_of(code) if number % 3 else "x" for number, code in enumerate(CODES)]
        outcomes = run(*lines)
        assert [(outcome.line, outcome.kind) for outcome in outcomes] == [
            (number + 2, "bound" if number % 3 else "refused") for number in range(len(CODES))
        ]

    def test_an_owner_is_looked_up_once_in_a_batch(self, machines: MemoryMachineStore) -> None:
        """Hundreds of machines of one identity cost one look-up, also where it has no user."""
        asked: list[str] = []

        def get_user(identity: str) -> User | None:
            asked.append(identity)
            return {"1": FIRST}.get(identity)

        lines = [HEADER, *(line_of(code) for code in CODES[1:4]), *[line_of(CODES[5], identity="99")] * 2]
        list(import_machines(read("\n".join(lines)), get_user, machines.bind_many))
        assert asked == ["1", "99"]


class TestTimestamps:
    """The optional column ``registered_at``."""

    HEADER = f"{HEADER},{REGISTERED_AT}"

    @pytest.mark.parametrize(
        ("text", "timestamp"),
        [
            ("2024-05-31T12:00:00Z", datetime(2024, 5, 31, 12)),
            ("2024-05-31T12:00:00+00:00", datetime(2024, 5, 31, 12)),
            ("2024-05-31 14:00:00+0200", datetime(2024, 5, 31, 12)),
            ("2024-05-31T12:00:00-05:30", datetime(2024, 5, 31, 17, 30)),
            ("2024-05-31T12:00Z", datetime(2024, 5, 31, 12)),
            ("2024-05-31T12:00:00.5Z", datetime(2024, 5, 31, 12, 0, 0, 500_000)),
            ("2024-05-31T12:00:00,123456789Z", datetime(2024, 5, 31, 12, 0, 0, 123_456)),
            ("1970-01-01T00:00:00Z", datetime(1970, 1, 1)),
        ],
    )
    def test_a_timestamp_is_kept_in_utc(
        self, run: Import, machines: MemoryMachineStore, text: str, timestamp: datetime
    ) -> None:
        """The machine counts as registered then, to the microsecond."""
        assert run(line_of(registered_at=text), header=self.HEADER) == [Outcome(2, "bound")]
        (kept,) = machines.list_for(FIRST)
        assert kept.registered_at == timestamp.replace(tzinfo=timezone.utc)
        assert kept.registered_at.utcoffset() == timedelta(0)

    @pytest.mark.parametrize(
        "text",
        [
            *("yesterday", "2024-05-31", "2024-05-31T12:00:00", "12:00:00Z", "1717156800", " "),
            *("2024-02-30T12:00:00Z", "2024-05-31T25:00:00Z", "2024-05-31T12:00:60Z", "2024-05-31T12:00.5Z"),
            *(
                "2024-05-31T12:00:00+24:00",
                "2024-05-31T12:00:00z",
                "2024-05-31T12:00:00Z\n",
                "31.05.2024 12:00Z",
            ),
            *(
                "٢٠٢٤-05-31T12:00:00Z",
                "0001-01-01T00:00:00+14:00",
                "0000-01-01T00:00:00Z",
                "2024-W22-5T12:00:00Z",
            ),
        ],
    )
    def test_a_malformed_timestamp_is_refused(self, run: Import, text: str) -> None:
        """The message has an example, and the machine is not bound with another timestamp."""
        reason = (
            "10400 registered_at: must be a date and a time with an offset, "
            "such as 2024-05-31T12:00:00Z or 2024-05-31T14:00:00+02:00"
        )
        assert run(line_of(registered_at=text), header=self.HEADER) == [Outcome(2, "refused", (reason,))]

    def test_a_timestamp_out_of_range_is_refused(self, run: Import) -> None:
        """A code cannot have been bound in the future, and hardly before 1970."""
        soon = datetime.now(timezone.utc) + timedelta(minutes=5)
        reason = "10400 registered_at: must be between 1970 and now"
        for text in (soon.isoformat(), "1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z"):
            assert run(line_of(registered_at=text), header=self.HEADER) == [Outcome(2, "refused", (reason,))]

    def test_an_empty_timestamp_is_now(self, run: Import, machines: MemoryMachineStore) -> None:
        """A machine without a timestamp is registered at the time of the import."""
        before = datetime.now(timezone.utc)
        run(line_of(registered_at=""), header=self.HEADER)
        (kept,) = machines.list_for(FIRST)
        assert kept.registered_at is not None
        assert before <= kept.registered_at <= datetime.now(timezone.utc)


class TestFailures:
    """Stores that fail in the middle."""

    def test_another_run_goes_on_after_a_failure(
        self, users: MemoryUserStore, machines: MemoryMachineStore
    ) -> None:
        """The batches before the failure have outcomes; another run binds the rest, and nothing twice."""
        rows = read("\n".join([HEADER, *(line_of(code) for code in CODES[1:1201])]))

        class Failing(MemoryMachineStore):
            left = 700

            def bind(self, machine: Machine, user: User) -> None:
                self.left -= 1
                if self.left < 0:
                    raise StoreFailure("gave up")
                machines.bind(machine, user)

        outcomes: list[Outcome] = []
        with pytest.raises(StoreFailure):
            outcomes.extend(import_machines(rows, users.get_any, Failing().bind_many))
        assert [outcome.kind for outcome in outcomes] == ["bound"] * 500
        outcomes = list(import_machines(rows, users.get_any, machines.bind_many))
        assert [outcome.kind for outcome in outcomes] == ["bound before"] * 700 + ["bound"] * 500
        assert [machine.machine_code for machine in machines.list_for(FIRST, limit=2000)] == CODES[1:1201]

    def test_a_batch_of_refusals_does_not_call_the_store(self, users: MemoryUserStore) -> None:
        """Where no line passes the checks there is nothing to bind."""
        outcomes = import_machines(read(f"{HEADER}\nx\nx"), users.get_any, pytest.fail)
        assert [outcome.kind for outcome in outcomes] == ["refused"] * 2

    def test_a_store_with_too_few_results_raises(self, users: MemoryUserStore) -> None:
        """No outcome goes to another line than its own."""
        with pytest.raises(ValueError, match="shorter"):
            list(import_machines(read(f"{HEADER}\n{line_of()}"), users.get_any, lambda bindings: []))


class TestMemory:
    """Memory is bounded by the batch."""

    def _peak(self, rows: Iterable[Row], users: MemoryUserStore) -> int:
        def bind_many(bindings: Sequence[tuple[Machine, User]]) -> list[Refusal | None]:
            return [
                MachineCodeTaken(by_same_user=True) if number % 2 else None for number in range(len(bindings))
            ]

        tracemalloc.start()
        try:
            assert all(import_machines(rows, users.get_any, bind_many))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def test_memory_does_not_grow_with_the_file(self, users: MemoryUserStore) -> None:
        """Four times as many rows, good, bad and bound before, need no more memory."""
        (good, bad) = read(f"{HEADER}\n{line_of()}\n{line_of(machine_cpu=chr(1))}")

        def peak(count: int) -> int:
            rows = (Row(number, (good if number % 10 else bad).fields) for number in range(count))
            return self._peak(rows, users)

        peak(500)  # what is made once
        assert peak(4000) < peak(1000) + 200_000  # 66 bytes for each row would be too much

    def test_memory_does_not_hold_refused_rows(self, users: MemoryUserStore) -> None:
        """A batch of long rows that are refused needs less memory than the rows have."""
        (good,) = read(f"{HEADER}\n{line_of()}")
        rows = (
            Row(number, {**good.fields, "machine_cpu": chr(33 + number % 90) * 60_000})
            for number in range(500)
        )
        assert self._peak(rows, users) < 10_000_000  # of 30,000,000


def test_outcomes_hold_no_values(run: Import) -> None:
    """Neither an outcome nor its reasons hold what a line holds."""
    secret = "S3cret"
    outcomes: Iterable[Any] = run(
        line_of(identity=secret),
        line_of(user_AegisSpeed_id=secret),
        line_of(machine_code=secret),
        line_of(machine_mac_address=secret + "\1"),
        secret,
        '"' + secret,
    )
    texts = [repr(outcome) for outcome in outcomes]
    assert len(texts) == 6
    assert secret not in "".join(texts)
