"""Tables for the pages, in Markdown, made from the code. ``{{ config_keys }}`` in a page shows one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from importlib.metadata import metadata, requires

from flask_aegis_machines._answers import ANSWERS, Answer
from flask_aegis_machines._config import DEFAULTS
from flask_aegis_machines._endpoint_definitions import ENDPOINTS
from flask_aegis_machines._records import MACHINE_FIELDS

__all__ = ["SUBSTITUTIONS", "table"]

_CONFIG_KEYS = {
    "AEGIS_MACHINES_REGISTER_OPEN": "Whether the registration is open. Closed, it answers 403/10001.",
    "AEGIS_MACHINES_VERIFY_OPEN": "The same for the check of a machine code.",
    "AEGIS_MACHINES_GET_OPEN": "The same for the list of a user's machines.",
    "AEGIS_MACHINES_REPEAT_BY_OWNER": (
        "Whether an owner who registers a code again gets 200/10000, storing nothing, instead of 409/10004."
    ),
}


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown.

    Args:
        head: The titles of the columns.
        rows: The cells of each row.
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def _answers(answers: Iterable[Answer]) -> list[tuple[object, ...]]:
    return [(each.status, f"`{each.code}`", each.result) for each in answers]


def _versions() -> str:
    """Return the versions that the metadata of the package declares."""
    pythons = [
        classifier.rpartition(" :: ")[2]
        for classifier in metadata("flask-aegis-machines").get_all("Classifier") or []
        if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", classifier)
    ]
    rows = [["Python", " · ".join(pythons), "always"]]
    needed = {"": "always", "jwt": "for `jwt_identity`", "sqlalchemy": "for `stores.sqlalchemy`"}
    for requirement in requires("flask-aegis-machines") or []:
        match = re.match(r"([\w.-]+)>=([\w.]+)(?:; extra == \W(\w+)\W)?$", requirement)
        if match and (extra := match[3] or "") in needed:
            rows.append([match[1], f"{match[2]} and newer", needed[extra]])
    return table(["package", "versions", "needed"], rows)


SUBSTITUTIONS = {
    "answers": table(["status", "code", "text"], _answers(ANSWERS)),
    "config_keys": table(
        ["key", "default", "meaning"],
        [(f"`{key}`", f"`{default}`", _CONFIG_KEYS[key]) for key, default in DEFAULTS.items()],
    ),
    "endpoints": table(
        ["path", "open by", "summary"],
        [(f"`{each.path}`", f"`{each.config_key}`", each.summary) for each in ENDPOINTS],
    ),
    **{
        f"answers_of_{each.name.partition('_')[0]}": table(["status", "code", "text"], _answers(each.answers))
        for each in ENDPOINTS
    },
    "machine_fields": ", ".join(f"`{name}`" for name in MACHINE_FIELDS),
    "versions": _versions(),
}
