"""Reads the rows of a CSV file, whatever their length, with no more than one bounded row in memory."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import NamedTuple, TextIO

from ._errors import ConfigurationError
from ._records import MACHINE_FIELDS
from ._request_schemas import AEGISSPEED_ID

__all__ = ["COLUMNS", "IDENTITY", "MAX_ROW", "REGISTERED_AT", "Row", "read_rows"]

IDENTITY = "identity"
REGISTERED_AT = "registered_at"

#: The columns that a file must have: the identity, as in a token, and the fields of a request.
COLUMNS: tuple[str, ...] = (IDENTITY, AEGISSPEED_ID, *MACHINE_FIELDS)

#: The maximum length of a row in characters, with the lines that its quoted fields continue on.
MAX_ROW = 64 * 1024

_MALFORMED = "must have as many fields as the first line, in quotes that close"
_TOO_LONG = f"must not be longer than {MAX_ROW} characters"


class Row(NamedTuple):
    """An unchecked row of a file.

    Args:
        line: The number of its first line. The line with the names is 1.
        fields: Its values by column, without the columns of other systems. Empty where ``fault`` is set.
        fault: Why the row could not be read, without values; empty for a row that was read.
    """

    line: int
    fields: dict[str, str]
    fault: str = ""


class _RowTooLong(csv.Error):
    """The row has more than ``MAX_ROW`` characters. Its last line was read to the end."""


class _Lines:
    """The lines of a file for ``csv.reader``. A longer row than ``MAX_ROW`` is never in memory as a whole.

    The limit of the ``csv`` module would not do: it is global to the process, and limits one field.

    Args:
        file: The file.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._left = MAX_ROW
        self.number = 0  # of the last line that was read

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._file.readline(self._left + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self._left -= len(line)
        if self._left < 0:
            while line and not line.endswith("\n"):
                line = self._file.readline(MAX_ROW)
            raise _RowTooLong
        return line

    def begin_row(self) -> int:
        """Allow the next row its full length.

        Returns:
            The number of its first line.
        """
        self._left = MAX_ROW
        return self.number + 1


def read_rows(file: TextIO) -> Iterator[Row]:
    """Read a CSV file row by row.

    Args:
        file: The file, opened as text with universal newlines. Its first line names the columns, in any
            order.

    Returns:
        Its rows, without empty lines. After a row that cannot be read, the next line begins a row.

    Raises:
        ConfigurationError: The first line does not name the columns. The text says which are wrong.
    """
    lines = _Lines(file)
    reader = csv.reader(lines, strict=True)
    width, wanted = _read_names(reader)
    while True:
        first = lines.begin_row()
        try:
            values = next(reader)
        except StopIteration:
            return
        except _RowTooLong:
            yield _broken(first, lines.number, _TOO_LONG)
        except csv.Error:
            yield _broken(first, lines.number, _MALFORMED)
        else:
            if len(values) == width:
                yield Row(first, {name: values[index] for name, index in wanted.items()})
            elif values:  # an empty line has none
                yield _broken(first, lines.number, _MALFORMED)


def _broken(first: int, last: int, fault: str) -> Row:
    if last > first:
        fault += f"; the lines up to {last} were read as one row"
    return Row(first, {}, fault)


def _read_names(reader: Iterator[list[str]]) -> tuple[int, dict[str, int]]:
    """Return how many columns the file has, and where those are that we read."""
    try:
        names = next(reader, [])
    except csv.Error:
        names = []
    wrong = [name for name in COLUMNS if names.count(name) != 1]
    wrong += [REGISTERED_AT] * (names.count(REGISTERED_AT) > 1)
    if wrong:
        raise ConfigurationError(
            f"The first line of the file must name each of these columns once: {', '.join(wrong)}."
        )
    return len(names), {name: names.index(name) for name in (*COLUMNS, REGISTERED_AT) if name in names}
