"""Takes machines over from another system by the rules of a request: its checks, and one owner per code."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Literal, NamedTuple, TypeAlias

from ._errors import ConfigurationError, InvalidAegisSpeedId, InvalidRequest, MachineCodeTaken, Refusal
from ._records import MACHINE_FIELDS, Machine, User
from ._validation import AEGISSPEED_ID, REGISTRATION, machine_from, require_user
from .stores import UserStore

__all__ = ["COLUMNS", "BindMany", "Outcome", "Row", "import_machines", "read_rows"]

#: What the first line of a file names: the identity, as a token would, and the fields of a request.
COLUMNS: tuple[str, ...] = ("identity", AEGISSPEED_ID, *MACHINE_FIELDS)

#: Binds several machines, as ``MachineStore.bind_many`` does.
BindMany: TypeAlias = Callable[[Sequence[tuple[Machine, User]]], list[Refusal | None]]

_BATCH = 500


class Row(NamedTuple):
    """A row of a file, unchecked.

    Args:
        line: Number of the line that it begins on; the line with the names is 1.
        last_line: Number of the line that it ends on: a field in quotes may hold several.
        fields: Its values by column; ``None`` where it cannot be read as a row of this file.
    """

    line: int
    last_line: int
    fields: dict[str, str] | None


class Outcome(NamedTuple):
    """What became of a row.

    Args:
        line: Number of the line that it begins on.
        refusal: Why nothing was bound; ``None`` where something was.
    """

    line: int
    refusal: Refusal | None

    @property
    def kind(self) -> Literal["bound", "bound before", "refused"]:
        """Tell what became of the row in a word.

        Returns:
            "bound before" where the machine is this owner's already, as after an earlier run.

        Raises:
            Nothing.
        """
        if self.refusal is None:
            return "bound"
        mine = isinstance(self.refusal, MachineCodeTaken) and self.refusal.by_same_user
        return "bound before" if mine else "refused"

    @property
    def reasons(self) -> list[str]:
        """Tell why the row was refused, without any value.

        Returns:
            A text for each reason, with the field where there is one; none for a row that was not refused.

        Raises:
            Nothing.
        """
        if self.refusal is None or self.kind != "refused":
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
    """Read a CSV file row by row.

    Args:
        lines: The file, opened with ``newline=""``; its first line names the columns, in any order.

    Returns:
        Its rows, empty lines left out.

    Raises:
        ConfigurationError: The first line does not name the columns; the text says which.
    """
    reader = csv.reader(lines, strict=True)
    try:
        names = next(reader, [])
    except csv.Error:
        names = []
    if wrong := [name for name in COLUMNS if names.count(name) != 1]:
        raise ConfigurationError(
            f"The first line of the file must name each of these columns once: {', '.join(wrong)}."
        )
    while True:
        line = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield Row(line, reader.line_num, None)
            continue
        if values:
            fields = dict(zip(names, values, strict=True)) if len(values) == len(names) else None
            yield Row(line, reader.line_num, fields)


def import_machines(rows: Iterable[Row], users: UserStore, bind_many: BindMany) -> Iterator[Outcome]:
    """Bind the machines of many rows, in batches, with no more of them in memory than one batch.

    Args:
        rows: The rows.
        users: Where owners are looked up, by the column ``identity``.
        bind_many: Binds the machines of a batch.

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
        if bindings:
            refusals.update(zip(bindings, bind_many(list(bindings.values())), strict=True))
        yield from (Outcome(row.line, refusals[row.line]) for row in batch)


def _check(row: Row, users: UserStore, found: dict[str, User | None]) -> tuple[Machine, User]:
    """Check a row as a request is checked; ``found`` spares a batch to look an owner up twice."""
    if row.fields is None:
        text = "must have as many fields as the first line, in quotes that close"
        if row.last_line > row.line:
            text += f"; all up to line {row.last_line} was read as one row"
        raise InvalidRequest({"row": [text]})
    fields = REGISTRATION.validate(row.fields)
    identity = row.fields["identity"]
    if identity not in found:
        found[identity] = users.get(identity)
    user = require_user(found[identity], fields[AEGISSPEED_ID])
    return machine_from(fields), user
