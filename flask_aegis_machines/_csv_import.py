"""Binds the machines of a CSV file by the rules of a request: its checks, and one owner for each code."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
from itertools import islice
from typing import Literal, NamedTuple, TypeAlias

from ._csv_rows import IDENTITY, REGISTERED_AT, Row
from ._errors import InvalidAegisSpeedId, InvalidRequest, MachineCodeTaken, Refusal
from ._records import Machine, User
from ._request_schemas import AEGISSPEED_ID, REGISTRATION, machine_from, require_user

__all__ = ["BindMany", "GetUser", "Outcome", "import_machines"]

#: Returns the user who has an identity, as ``UserStore.get_any`` does.
GetUser: TypeAlias = Callable[[str], User | None]

#: Binds several machines, as ``MachineStore.bind_many`` does.
BindMany: TypeAlias = Callable[[Sequence[tuple[Machine, User]]], list[Refusal | None]]

_BATCH = 500
_EARLIEST = datetime(1970, 1, 1, tzinfo=timezone.utc)
# Before Python 3.11, datetime.fromisoformat() reads no "Z", and only fractions of 3 or 6 digits. So the parts
# are matched here and put together again.
_TIMESTAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?"
    r"(?:([+-][0-9]{2}):?([0-9]{2})|Z)"
)

_MALFORMED_TIMESTAMP = (
    "must be a date and a time with an offset, such as 2024-05-31T12:00:00Z or 2024-05-31T14:00:00+02:00"
)


class Outcome(NamedTuple):
    """What became of a row.

    Args:
        line: The number of its first line.
        kind: ``"bound before"`` where the owner has the code already, as after an earlier run.
        reasons: Why it was refused, without values: one text for each reason, with its field.
    """

    line: int
    kind: Literal["bound", "bound before", "refused"]
    reasons: tuple[str, ...] = ()


def import_machines(rows: Iterable[Row], get_user: GetUser, bind_many: BindMany) -> Iterator[Outcome]:
    """Bind the machines of many rows in batches. Memory holds one batch.

    Args:
        rows: The rows.
        get_user: Returns the owner for the column ``identity``.
        bind_many: Binds the machines of a batch.

    Returns:
        What became of each row, in the order of the rows.

    Raises:
        Exception: A store failed. What was bound stays bound: run the import again.
    """
    rows = iter(rows)
    while True:
        owners: dict[str, User | None] = {}
        bindings: dict[int, tuple[Machine, User]] = {}
        # None for a row that is in bindings. No refusal is kept: its traceback holds the row.
        outcomes: dict[int, Outcome | None] = {}
        for row in islice(rows, _BATCH):
            try:
                bindings[row.line] = _check(row, get_user, owners)
                outcomes[row.line] = None
            except Refusal as refusal:
                outcomes[row.line] = _outcome(row.line, refusal)
        if not outcomes:
            return
        refusals = bind_many(list(bindings.values())) if bindings else []
        for line, bound in zip(bindings, refusals, strict=True):
            outcomes[line] = _outcome(line, bound)
        yield from filter(None, outcomes.values())


def _check(row: Row, get_user: GetUser, owners: dict[str, User | None]) -> tuple[Machine, User]:
    """Check a row as a request is checked. An owner is looked up once for all that share ``owners``."""
    if row.fault:
        raise InvalidRequest({"row": [row.fault]})
    document = REGISTRATION.validate(row.fields)
    machine = machine_from(document)
    if registered_at := row.fields.get(REGISTERED_AT):
        machine = replace(machine, registered_at=_read_timestamp(registered_at))
    identity = row.fields[IDENTITY]
    if identity not in owners:
        owners[identity] = get_user(identity)
    return machine, require_user(owners[identity], document[AEGISSPEED_ID])


def _read_timestamp(text: str) -> datetime:
    """Read when a machine was bound in another system."""
    timestamp = None
    if match := _TIMESTAMP.fullmatch(text):
        date, minute, second, fraction, hours, minutes = match.groups()
        offset = f"{hours}:{minutes}" if hours else "+00:00"
        text = f"{date}T{minute}:{second or '00'}.{(fraction or '')[:6]:0<6}{offset}"
        with suppress(OverflowError, ValueError):
            timestamp = datetime.fromisoformat(text).astimezone(timezone.utc)
    if timestamp is None:
        raise InvalidRequest({REGISTERED_AT: [_MALFORMED_TIMESTAMP]})
    if not _EARLIEST <= timestamp <= datetime.now(timezone.utc):
        raise InvalidRequest({REGISTERED_AT: ["must be between 1970 and now"]})
    return timestamp


def _outcome(line: int, refusal: Refusal | None) -> Outcome:
    if refusal is None:
        return Outcome(line, "bound")
    if isinstance(refusal, MachineCodeTaken) and refusal.by_same_user:
        return Outcome(line, "bound before")
    return Outcome(line, "refused", tuple(_reasons(refusal)))


def _reasons(refusal: Refusal) -> list[str]:
    answer = refusal.answer
    if isinstance(refusal, InvalidRequest):
        return [
            f"{answer.code} {field}: {message}"
            for field, messages in refusal.errors.items()
            for message in messages
        ]
    field = f" {AEGISSPEED_ID}:" if isinstance(refusal, InvalidAegisSpeedId) else ""
    return [f"{answer.code}{field} {answer.result}"]
