"""Machines from a file: how it is read, and what is bound by the rules of a request."""

from __future__ import annotations

import csv
import io
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest

from flask_aegis_machines import ConfigurationError, Machine, StoreFailure, User
from flask_aegis_machines._csv_import import COLUMNS, Outcome, Row, import_machines, read_rows
from flask_aegis_machines._errors import MachineCodeTaken, Refusal
from flask_aegis_machines._records import MACHINE_FIELDS
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore
from flask_aegis_machines.testing import make_machine
from tests.support.hosts import FIRST, SECOND

HEADER = ",".join(COLUMNS)
CODES = [f"{number:032}" for number in range(2000)]
FACTS = [getattr(make_machine(), name) for name in MACHINE_FIELDS[1:]]


def line_of(code: str = CODES[1], user: User = FIRST, **changes: str) -> str:
    """Write a good line of a file, with changes to some of its columns."""
    values = dict(zip(COLUMNS, [str(user.key), user.aegisspeed_id, code, *FACTS], strict=True))
    text = io.StringIO()
    csv.writer(text).writerow({**values, **changes}.values())
    return text.getvalue().rstrip("\r\n")


def read(text: str) -> list[Row]:
    """Read a file as the command does."""
    return list(read_rows(io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8-sig", newline="")))


def codes_of(rows: list[Row]) -> list[str | None]:
    """Return the machine code of each row, or None where it could not be read."""
    return [row.fields and row.fields["machine_code"] for row in rows]


class TestReading:
    """CSV as spreadsheets and databases write it, and as it breaks."""

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["unix", "windows", "old mac"])
    @pytest.mark.parametrize("last", [True, False], ids=["ended", "not ended"])
    @pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "with a byte order mark"])
    def test_any_line_ends_will_do(self, end: str, last: bool, mark: str) -> None:
        """Ends of lines, a missing last one and a byte order mark change nothing."""
        text = mark + end.join([HEADER, line_of(CODES[1]), line_of(CODES[2])]) + (end if last else "")
        rows = read(text)
        assert codes_of(rows) == CODES[1:3]
        assert [(row.line, row.last_line) for row in rows] == [(2, 2), (3, 3)]

    @pytest.mark.parametrize("text", [HEADER, HEADER + "\n", HEADER + "\n\n\r\n"])
    def test_a_file_of_names_alone_has_no_rows(self, text: str) -> None:
        """Nothing but the first line, and empty ones, is nothing to import."""
        assert read(text) == []

    def test_empty_lines_are_counted_and_left_out(self) -> None:
        """The number of a line is the one that an editor shows."""
        rows = read(f"{HEADER}\n\n{line_of(CODES[1])}\n\n\n{line_of(CODES[2])}\n")
        assert [row.line for row in rows] == [3, 6]

    def test_columns_may_stand_in_any_order_among_others(self) -> None:
        """Columns are found by their names; those of the other system are left aside."""
        names = ["note", *reversed(COLUMNS), "note"]
        values = ["a", *reversed(line_of(CODES[7]).split(",")), "b"]
        (row,) = read(f"{','.join(names)}\n{','.join(values)}\n")
        assert row.fields is not None
        assert {name: row.fields[name] for name in COLUMNS} == dict(
            zip(COLUMNS, line_of(CODES[7]).split(","), strict=True)
        )

    def test_quotes_hold_commas_quotes_and_lines(self) -> None:
        """A row whose field has several lines begins where it begins and ends where it ends."""
        note = 'a, "b"\r\nc\n'
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow([*COLUMNS, "note"])
        for code in CODES[1:3]:
            writer.writerow([*line_of(code).split(","), note])
        rows = read(text.getvalue())
        assert [row.fields and row.fields["note"] for row in rows] == [note, note]
        assert [(row.line, row.last_line) for row in rows] == [(2, 4), (5, 7)]

    @pytest.mark.parametrize(
        "broken",
        [
            pytest.param("x", id="one field"),
            pytest.param(line_of() + ",more", id="one more"),
            pytest.param(line_of().rpartition(",")[0], id="one fewer"),
            pytest.param('""' + line_of(), id="more after a quote"),
            pytest.param(" ", id="blank"),
            pytest.param("x" * 200_000, id="beyond csv's limit"),
        ],
    )
    def test_a_line_that_cannot_be_read_costs_itself_alone(self, broken: str) -> None:
        """What follows a broken line is read as if it had not been there."""
        rows = read(f"{HEADER}\n{line_of(CODES[1])}\n{broken}\n{line_of(CODES[2])}\n")
        assert codes_of(rows) == [CODES[1], None, CODES[2]]
        assert [(row.line, row.last_line) for row in rows] == [(2, 2), (3, 3), (4, 4)]

    def test_a_quote_that_does_not_close_tells_what_it_swallowed(self) -> None:
        """The lines up to the next quote belong to the broken row, which says where it ends."""
        quoted = line_of(CODES[4], machine_cpu='"quoted"')
        lines = [HEADER, '"' + line_of(CODES[1]), line_of(CODES[2]), quoted, line_of(CODES[3])]
        rows = read("\n".join(lines))
        assert codes_of(rows) == [None, CODES[3]]
        assert (rows[0].line, rows[0].last_line) == (2, 4)

    def test_a_quote_open_at_the_end_is_a_broken_row(self) -> None:
        """A file that was cut off in the middle of a field is not taken for whole."""
        last = line_of(CODES[2], machine_mac_address="00:11, or so").removesuffix('"')
        assert codes_of(read(f"{HEADER}\n{line_of(CODES[1])}\n{last}")) == [CODES[1], None]

    def test_an_open_quote_swallows_no_more_than_the_limit_of_csv(self) -> None:
        """One stray quote at the top does not cost a whole file, nor fill the memory."""
        lines = [HEADER, '"' + line_of(CODES[0]), *(line_of(code) for code in CODES[1:])]
        rows = read("\n".join(lines))
        assert codes_of(rows)[0] is None
        assert rows[1].line == rows[0].last_line + 1
        assert codes_of(rows)[1:] == CODES[rows[0].last_line - 1 :]

    @pytest.mark.parametrize(
        ("first", "told"),
        [
            ("", list(COLUMNS)),
            (line_of(), list(COLUMNS)),
            (HEADER.replace(",", ";"), list(COLUMNS)),
            (HEADER.replace("machine_cpu", "cpu"), ["machine_cpu"]),
            (HEADER + ",identity", ["identity"]),
            ('"' + HEADER, list(COLUMNS)),
            ("x" * 200_000, list(COLUMNS)),
        ],
        ids=["empty", "a row", "semicolons", "missing", "twice", "open quote", "beyond csv's limit"],
    )
    def test_a_first_line_that_names_no_columns_is_refused(self, first: str, told: list[str]) -> None:
        """Columns that are missing or there twice are told by our names for them, and nothing of the file."""
        with pytest.raises(ConfigurationError) as error:
            read(f"{first}\n{line_of()}")
        assert str(error.value) == (
            f"The first line of the file must name each of these columns once: {', '.join(told)}."
        )


@pytest.fixture
def run(users: MemoryUserStore, machines: MemoryMachineStore) -> Callable[..., list[Outcome]]:
    """Import lines, the first of which is numbered 2."""

    def run(*lines: str) -> list[Outcome]:
        return list(import_machines(read("\n".join([HEADER, *lines])), users, machines.bind_many))

    return run


class TestRules:
    """The checks of a request, and one owner for each code."""

    def test_good_lines_are_bound(
        self, run: Callable[..., list[Outcome]], machines: MemoryMachineStore
    ) -> None:
        """A machine is bound to the owner whom its identity names, with every fact of its line."""
        outcomes = run(line_of(CODES[1], FIRST), line_of(CODES[2], SECOND))
        assert [(outcome.line, outcome.kind, outcome.reasons) for outcome in outcomes] == [
            (2, "bound", []),
            (3, "bound", []),
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
                {"machine_code": "secret", "machine_cpu": "x" * 256},
                [
                    "10400 machine_code: must be exactly 32 printable ASCII characters without spaces",
                    "10400 machine_cpu: must be at most 255 characters, without control characters",
                ],
            ),
            (
                {"machine_cpu": "secret\nsecret"},
                ["10400 machine_cpu: must be at most 255 characters, without control characters"],
            ),
        ],
    )
    def test_refusals_name_code_field_and_reason(
        self,
        run: Callable[..., list[Outcome]],
        machines: MemoryMachineStore,
        changes: dict[str, str],
        reasons: list[str],
    ) -> None:
        """A line is refused for what a request is refused for; its values are not told, nor is it bound."""
        (outcome,) = run(line_of(**changes))
        assert (outcome.kind, outcome.reasons) == ("refused", reasons)
        assert [machines.list_for(user) for user in (FIRST, SECOND)] == [[], []]

    @pytest.mark.parametrize("strange", ["\0", "\udce9"], ids=["NUL", "no UTF-8"])
    def test_what_is_no_text_is_refused(
        self, users: MemoryUserStore, machines: MemoryMachineStore, strange: str
    ) -> None:
        """NUL and bytes that are no UTF-8 cost their own line alone, wherever they stand in it."""
        lines = [line_of(**{column: "@"}).replace("@", strange) + "\n" for column in COLUMNS]
        rows = read_rows([HEADER + "\n", *lines, line_of()])
        outcomes = list(import_machines(rows, users, machines.bind_many))
        assert [outcome.kind for outcome in outcomes] == ["refused"] * len(COLUMNS) + ["bound"]

    def test_a_row_that_cannot_be_read_says_how_far_it_goes(self, run: Callable[..., list[Outcome]]) -> None:
        """The report of a broken row names its last line where that is another one."""
        text = "10400 row: must have as many fields as the first line, in quotes that close"
        outcomes = run("x", '"' + line_of(CODES[1]), '"', line_of(CODES[2]))
        assert [(outcome.line, outcome.reasons) for outcome in outcomes] == [
            (2, [text]),
            (3, [f"{text}; all up to line 4 was read as one row"]),
            (5, []),
        ]

    @pytest.mark.parametrize("distance", [1, 500], ids=["in one batch", "in two batches"])
    def test_a_code_twice_in_a_file_has_one_owner(
        self, run: Callable[..., list[Outcome]], machines: MemoryMachineStore, distance: int
    ) -> None:
        """The first line wins; its owner's repetition is "bound before", anybody else's is refused."""
        filler = [line_of(code) for code in CODES[1000 : 1000 + distance - 1]]
        outcomes = run(line_of(CODES[1]), *filler, line_of(CODES[1]), line_of(CODES[1], SECOND))
        assert [outcomes[0].kind, *(outcome.kind for outcome in outcomes[-2:])] == [
            "bound",
            "bound before",
            "refused",
        ]
        assert [outcome.reasons for outcome in outcomes[-2:]] == [
            [],
            ["10004 Machine code already registered"],
        ]
        assert machines.list_for(SECOND) == []

    def test_a_second_run_binds_nothing_again(
        self, run: Callable[..., list[Outcome]], machines: MemoryMachineStore
    ) -> None:
        """What an earlier run bound is passed over, and stays as it was."""
        run(line_of(CODES[1]))
        before = machines.list_for(FIRST)
        outcomes = run(line_of(CODES[1], machine_cpu="another"), line_of(CODES[2]))
        assert [outcome.kind for outcome in outcomes] == ["bound before", "bound"]
        assert machines.list_for(FIRST)[:1] == before

    def test_outcomes_come_in_the_order_of_the_file(self, run: Callable[..., list[Outcome]]) -> None:
        """Refused and bound lines are told in one order, over any number of batches."""
        lines = [line_of(code) if number % 3 else "x" for number, code in enumerate(CODES)]
        outcomes = run(*lines)
        assert [outcome.line for outcome in outcomes] == list(range(2, len(CODES) + 2))
        assert [outcome.kind for outcome in outcomes] == [
            "bound" if number % 3 else "refused" for number in range(len(CODES))
        ]

    def test_an_owner_is_looked_up_once_in_a_batch(self, machines: MemoryMachineStore) -> None:
        """Hundreds of machines of one owner, one after the other, cost one look-up, also of nobody."""
        asked: list[str] = []

        class Counting(MemoryUserStore):
            def get(self, identity: str) -> User | None:
                asked.append(identity)
                return super().get(identity)

        lines = [HEADER, *(line_of(code) for code in CODES[1:4]), *[line_of(CODES[5], identity="99")] * 2]
        list(import_machines(read("\n".join(lines)), Counting([FIRST]), machines.bind_many))
        assert asked == ["1", "99"]


class TestFailures:
    """Stores that fail in the middle."""

    def test_a_failure_is_overcome_by_another_run(
        self, users: MemoryUserStore, machines: MemoryMachineStore
    ) -> None:
        """The batches before it are told; run again, the rest follows, and nothing is there twice."""
        rows = read("\n".join([HEADER, *(line_of(code) for code in CODES[1:1201])]))

        class Failing(MemoryMachineStore):
            left = 700

            def bind(self, machine: Machine, user: User) -> None:
                self.left -= 1
                if self.left < 0:
                    raise StoreFailure("gave up")
                machines.bind(machine, user)

        told: list[Outcome] = []
        with pytest.raises(StoreFailure):
            told.extend(import_machines(rows, users, Failing().bind_many))
        assert [outcome.kind for outcome in told] == ["bound"] * 500
        outcomes = list(import_machines(rows, users, machines.bind_many))
        assert [outcome.kind for outcome in outcomes] == ["bound before"] * 700 + ["bound"] * 500
        assert [machine.machine_code for machine in machines.list_for(FIRST, limit=2000)] == CODES[1:1201]

    def test_a_batch_of_refusals_asks_the_store_nothing(self, users: MemoryUserStore) -> None:
        """Where no line passes the checks there is nothing to bind."""
        outcomes = import_machines(read(f"{HEADER}\nx\nx"), users, lambda bindings: pytest.fail("was asked"))
        assert [outcome.kind for outcome in outcomes] == ["refused"] * 2

    def test_a_store_that_answers_for_too_few_is_found_out(self, users: MemoryUserStore) -> None:
        """No outcome goes to another line than its own."""
        with pytest.raises(ValueError, match="shorter"):
            list(import_machines(read(f"{HEADER}\n{line_of()}"), users, lambda bindings: []))


def test_memory_does_not_grow_with_the_file(users: MemoryUserStore) -> None:
    """Four times as many lines, good, bad and bound before, take the same memory at the most."""

    def lines(count: int) -> Iterator[str]:
        yield HEADER + "\n"
        good, bad = line_of() + "\n", line_of(machine_cpu=" ") + "\n"
        for number in range(count):
            yield bad if number % 10 == 0 else good

    def bind_many(bindings: Sequence[tuple[Machine, User]]) -> list[Refusal | None]:
        return [
            MachineCodeTaken(by_same_user=True) if number % 2 else None for number in range(len(bindings))
        ]

    def peak(count: int) -> int:
        tracemalloc.start()
        try:
            done = sum(1 for _ in import_machines(read_rows(lines(count)), users, bind_many))
            assert done == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(500)  # what is made once
    assert peak(4000) < peak(1000) + 200_000  # 66 bytes a line would be too much


def test_nothing_shows_the_values_of_a_row(run: Callable[..., list[Outcome]]) -> None:
    """Neither an outcome nor its text holds what a line holds."""
    secret = "S3cret"
    outcomes: Iterable[Any] = run(
        line_of(identity=secret),
        line_of(user_AegisSpeed_id=secret),
        line_of(machine_code=secret),
        line_of(machine_mac_address=secret + "\1"),
        secret,
        '"' + secret,
    )
    told = [repr(outcome) + "".join(outcome.reasons) for outcome in outcomes]
    assert len(told) == 6
    assert secret not in "".join(told)
