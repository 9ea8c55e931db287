"""Takes machines over from another system by the rules of a request: its checks, and one owner per code."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from . import binding
from .errors import InvalidAegisSpeedId, InvalidRequest, MachineCodeTaken, Refusal
from .records import MACHINE_FIELDS, Machine, User
from .schema import AEGISSPEED_ID, REGISTRATION
from .stores import MachineStore, UserStore

__all__ = ["COLUMNS", "Outcome", "Row", "import_machines", "read_rows"]

#: What the first line of a file names: the identity, as a token would, and the fields of a request.
COLUMNS: tuple[str, ...] = ("identity", AEGISSPEED_ID, *MACHINE_FIELDS)

_BATCH = 500


class Row(NamedTuple):
    """A line of a file, unchecked.

    Args:
        line: Its number, from 1 for the line with the names.
        fields: Its values by column; ``None`` where it cannot be read as a line of this file.
    """

    line: int
    fields: dict[str, str] | None


class Outcome(NamedTuple):
    """What became of a line.

    Args:
        line: Its number.
        refusal: Why nothing was bound; ``None`` where something was.
    """

    line: int
    refusal: Refusal | None

    @property
    def repeated(self) -> bool:
        """Tell whether the machine is this owner's already, as after an earlier run.

        Returns:
            Whether it is.

        Raises:
            Nothing.
        """
        return isinstance(self.refusal, MachineCodeTaken) and self.refusal.by_same_user

    @property
    def reasons(self) -> list[str]:
        """Tell why the line was refused, without any value.

        Returns:
            A text for each reason, with the field where there is one; none for a machine that was bound.

        Raises:
            Nothing.
        """
        if self.refusal is None:
            return []
        answer = self.refusal.answer
        if isinstance(self.refusal, InvalidRequest):
            return [
                f"{answer.code} {field}: {message}"
                for field, messages in self.refusal.errors.items()
                for message in messages
            ]
        field = f" {AEGISSPEED_ID}:" if isinstance(self.refusal, InvalidAegisSpeedId) else ""
        return [f"{answer.code}{field} {answer.result}"]


def read_rows(lines: Iterable[str]) -> Iterator[Row]:
    """Read a CSV file line by line.

    Args:
        lines: The file, opened with ``newline=""``; its first line names the columns, in any order.

    Returns:
        A row for each line but the first.

    Raises:
        ValueError: The first line lacks a column; the text says which.
    """
    reader = csv.reader(lines, strict=True)
    names = next(reader, [])
    if missing := [name for name in COLUMNS if name not in names]:
        raise ValueError(f"The first line must name the columns {', '.join(missing)}.")
    while True:
        line = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield Row(line, None)
            continue
        if values:  # an empty line is none
            yield Row(line, dict(zip(names, values, strict=True)) if len(values) == len(names) else None)


def import_machines(rows: Iterable[Row], users: UserStore, machines: MachineStore) -> Iterator[Outcome]:
    """Bind the machines of many rows, in batches, with no more of them in memory than one batch.

    Args:
        rows: The rows.
        users: Where owners are looked up, by the column ``identity``.
        machines: Where machines are bound.

    Returns:
        What became of each row, in their order.

    Raises:
        Exception: A store failed. What was bound stays bound: run it again.
    """
    rows = iter(rows)
    while batch := list(islice(rows, _BATCH)):
        found: dict[str, User | None] = {}
        refusals: dict[int, Refusal | None] = {}
        bindings: dict[int, tuple[Machine, User]] = {}
        for row in batch:
            try:
                bindings[row.line] = _check(row, users, found)
            except Refusal as refusal:
                refusals[row.line] = refusal
        refusals.update(zip(bindings, machines.bind_many(list(bindings.values())), strict=True))
        yield from (Outcome(row.line, refusals[row.line]) for row in batch)


def _check(row: Row, users: UserStore, found: dict[str, User | None]) -> tuple[Machine, User]:
    """Check a row as a request is checked; ``found`` spares a batch to look an owner up twice."""
    if row.fields is None:
        raise InvalidRequest({"line": ["must have as many fields as the first line, in quotes that close"]})
    fields = REGISTRATION.check(row.fields)
    identity = row.fields["identity"]
    if identity not in found:
        found[identity] = users.get(identity)
    user = binding.require_caller(found[identity], fields[AEGISSPEED_ID])
    return Machine(**{name: fields[name] for name in MACHINE_FIELDS}), user
