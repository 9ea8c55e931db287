"""How a CSV file is read."""

from __future__ import annotations

import csv
import io
import tracemalloc
from collections import deque
from collections.abc import Iterator
from itertools import repeat

import pytest

from flask_aegis_machines import ConfigurationError
from flask_aegis_machines._csv_rows import COLUMNS, MAX_ROW, Row, read_rows
from tests.support.csv_files import CODES, HEADER, line_of, read

MALFORMED = "must have as many fields as the first line, in quotes that close"
TOO_LONG = f"must not be longer than {MAX_ROW} characters"


def codes_of(rows: list[Row]) -> list[str | None]:
    """Return the machine code of each row, or None for a row that could not be read."""
    return [row.fields.get("machine_code") for row in rows]


def padded(length: int, code: str = CODES[1]) -> str:
    """Return a line of so many characters, with its line end, for a header with one more column."""
    line = line_of(code) + ","
    return line + "x" * (length - len(line) - 1) + "\n"


class TestRows:
    """CSV as spreadsheets and databases write it, and as it breaks."""

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["unix", "windows", "old mac"])
    @pytest.mark.parametrize("last", [True, False], ids=["ended", "not ended"])
    @pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "with a byte order mark"])
    def test_all_line_ends_are_read(self, end: str, last: bool, mark: str) -> None:
        """Line ends, a missing last one and a byte order mark change nothing."""
        text = mark + end.join([HEADER, line_of(CODES[1]), line_of(CODES[2])]) + (end if last else "")
        rows = read(text)
        assert codes_of(rows) == CODES[1:3]
        assert [row.line for row in rows] == [2, 3]

    @pytest.mark.parametrize("text", [HEADER, HEADER + "\n", HEADER + "\n\n\r\n"])
    def test_a_file_of_names_has_no_rows(self, text: str) -> None:
        """The first line and empty ones are nothing to import."""
        assert read(text) == []

    def test_empty_lines_are_counted_and_skipped(self) -> None:
        """The number of a line is the one that an editor shows."""
        rows = read(f"{HEADER}\n\n{line_of(CODES[1])}\n\n\n{line_of(CODES[2])}\n")
        assert [row.line for row in rows] == [3, 6]

    def test_columns_are_found_by_name_among_others(self) -> None:
        """Columns may stand in any order; those of the other system are not kept."""
        names = ["note", *reversed(COLUMNS), "note"]
        values = ["a", *reversed(line_of(CODES[7]).split(",")), "b"]
        (row,) = read(f"{','.join(names)}\n{','.join(values)}\n")
        assert row.fields == dict(zip(COLUMNS, line_of(CODES[7]).split(","), strict=True))

    def test_quotes_hold_commas_quotes_and_lines(self) -> None:
        """The next row begins after the last line of a quoted field."""
        value = 'a, "b"\nc\n'
        rows = read("\n".join([HEADER, *(line_of(code, windows_product_id=value) for code in CODES[1:3])]))
        assert [row.fields["windows_product_id"] for row in rows] == [value, value]
        assert [row.line for row in rows] == [2, 5]

    @pytest.mark.parametrize(
        ("broken", "fault"),
        [
            pytest.param("x", MALFORMED, id="one field"),
            pytest.param(line_of() + ",more", MALFORMED, id="one more"),
            pytest.param(line_of().rpartition(",")[0], MALFORMED, id="one fewer"),
            pytest.param('""' + line_of(), MALFORMED, id="more after a quote"),
            pytest.param(" ", MALFORMED, id="blank"),
            pytest.param("x" * 200_000, TOO_LONG, id="too long"),
            pytest.param("," * 200_000, TOO_LONG, id="too many fields"),
        ],
    )
    def test_a_broken_line_costs_only_itself(self, broken: str, fault: str) -> None:
        """The lines after a broken one are read as if it were not there."""
        rows = read(f"{HEADER}\n{line_of(CODES[1])}\n{broken}\n{line_of(CODES[2])}\n")
        assert codes_of(rows) == [CODES[1], None, CODES[2]]
        assert [(row.line, row.fault) for row in rows] == [(2, ""), (3, fault), (4, "")]

    def test_an_open_quote_names_the_lines_it_swallowed(self) -> None:
        """The lines up to the next quote belong to the broken row, which says where it ends."""
        quoted = line_of(CODES[4], machine_cpu='"quoted"')
        lines = [HEADER, '"' + line_of(CODES[1]), line_of(CODES[2]), quoted, line_of(CODES[3])]
        rows = read("\n".join(lines))
        assert codes_of(rows) == [None, CODES[3]]
        assert rows[0] == Row(2, {}, f"{MALFORMED}; the lines up to 4 were read as one row")

    def test_a_quote_open_at_the_end_is_a_broken_row(self) -> None:
        """A file that was cut off in the middle of a field is not taken for whole."""
        last = line_of(CODES[2], machine_mac_address="00:11, or so").removesuffix('"')
        assert codes_of(read(f"{HEADER}\n{line_of(CODES[1])}\n{last}")) == [CODES[1], None]

    @pytest.mark.parametrize(
        ("first", "wrong"),
        [
            ("", list(COLUMNS)),
            (line_of(), list(COLUMNS)),
            (HEADER.replace(",", ";"), list(COLUMNS)),
            (HEADER.replace("machine_cpu", "cpu"), ["machine_cpu"]),
            (HEADER + ",identity", ["identity"]),
            (HEADER + ",registered_at,registered_at", ["registered_at"]),
            ('"' + HEADER, list(COLUMNS)),
            ("x" * 200_000, list(COLUMNS)),
        ],
        ids=["empty", "a row", "semicolons", "missing", "twice", "optional twice", "open quote", "too long"],
    )
    def test_a_first_line_without_names_raises(self, first: str, wrong: list[str]) -> None:
        """Wrong columns are listed by our names for them, and nothing of the file is repeated."""
        with pytest.raises(ConfigurationError) as error:
            read(f"{first}\n{line_of()}")
        assert str(error.value) == (
            f"The first line of the file must name each of these columns once: {', '.join(wrong)}."
        )


class TestLength:
    """Rows of any length, of which only a bounded part is in memory."""

    @pytest.mark.parametrize("end", ["\n", ""], ids=["ended", "not ended"])
    def test_a_row_of_the_maximum_length_is_read(self, end: str) -> None:
        """The limit counts the characters of the row with its line end."""
        longest = padded(MAX_ROW)
        assert codes_of(read(f"{HEADER},note\n{longest}{padded(400, CODES[2]).strip()}{end}")) == CODES[1:3]
        rows = read(f"{HEADER},note\n{padded(MAX_ROW + 1)}{padded(400, CODES[2]).strip()}{end}")
        assert [(row.line, row.fault) for row in rows] == [(2, TOO_LONG), (3, "")]

    def test_a_long_last_line_is_refused(self) -> None:
        """A file may end in the middle of a line that is too long."""
        rows = read(f"{HEADER}\n{line_of(CODES[1])}\n{'x' * (3 * MAX_ROW)}")
        assert [(row.line, row.fault) for row in rows] == [(2, ""), (3, TOO_LONG)]

    def test_a_line_end_at_the_limit_is_one_line(self) -> None:
        """Two characters that end a line are not taken for two lines where a read ends between them."""
        for length in range(MAX_ROW - 2, MAX_ROW + 4):
            text = f"{HEADER},note\n{padded(length)}{padded(400, CODES[2])}".replace("\n", "\r\n")
            assert [row.line for row in read(text)] == [2, 3]

    def test_quoted_lines_count_together(self) -> None:
        """A row of many short lines is refused at the limit, and the next line begins a row."""
        lines = [HEADER, '"' + line_of(CODES[0]), *(line_of(code) for code in CODES[1:])]
        rows = read("\n".join(lines))
        last = rows[1].line - 1
        assert rows[0] == Row(2, {}, f"{TOO_LONG}; the lines up to {last} were read as one row")
        assert sum(len(line) + 1 for line in lines[1 : last - 1]) <= MAX_ROW
        assert codes_of(rows)[1:] == CODES[last - 1 :]

    def test_the_limit_of_the_csv_module_stays(self) -> None:
        """That limit is global to the process, and may be in use elsewhere."""
        before = csv.field_size_limit()
        read(f"{HEADER}\n{'x' * 200_000}\n{line_of()}")
        assert csv.field_size_limit() == before

    @pytest.mark.parametrize("quote", ["", '"'], ids=["one line", "one quoted field of many lines"])
    def test_memory_does_not_grow_with_a_row(self, quote: str) -> None:
        """A row of 40 MB takes less than 1 MB, and the next one is read."""

        class Long(io.RawIOBase):
            """A file whose second line begins 40 million characters."""

            def __init__(self) -> None:
                self.parts = self._parts()

            def _parts(self) -> Iterator[bytes]:
                yield f"{HEADER}\n{quote}".encode()
                yield from repeat(b"x" * 7999 + (b"\n" if quote else b"x"), 5000)
                yield f"\n{line_of()}\n".encode()

            def readable(self) -> bool:
                return True

            def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
                part = next(self.parts, b"")
                buffer[: len(part)] = part
                return len(part)

        tracemalloc.start()
        try:
            (last,) = deque(read_rows(io.TextIOWrapper(io.BufferedReader(Long()), "utf-8-sig")), maxlen=1)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert last.fields["machine_code"] == CODES[1]
        assert peak < 1_000_000
