"""Directives that print tables and texts of the package, so that a page states nothing a second time.

Each directive that takes notes fails the build where the notes and the code do not have the same entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import click
from code_facts import table
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from flask_aegis_machines import _cli
from flask_aegis_machines._endpoint_definitions import ENDPOINTS, Endpoint
from flask_aegis_machines._openapi_schemas import _FIELDS

__all__ = ["setup"]

_ENDPOINTS = {endpoint.name.partition("_")[0]: endpoint for endpoint in ENDPOINTS}
_COMMANDS: Mapping[str, click.Command] = {
    command.name or "": command for command in (_cli.doctor, _cli.show, _cli.print_openapi, _cli.import_file)
}


class _FromCode(SphinxDirective):
    """Prints Markdown that is made from the code."""

    has_content = True
    required_arguments = 0
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the nodes of the Markdown."""
        return self.parse_text_to_nodes(self.markdown(), allow_section_headings=False)

    def markdown(self) -> str:
        """Return the Markdown."""
        raise NotImplementedError

    def notes(self, keys: Iterable[str]) -> dict[str, str]:
        """Return the notes of the directive by key.

        Args:
            keys: The keys that the code has. Each must have a note, ``key: text``, on one line or more.

        Raises:
            Exception: The notes have other keys.
        """
        keys = list(keys)
        notes: dict[str, str] = {}
        key = ""
        for line in self.content:
            name, colon, text = line.partition(":")
            if colon and not line.startswith(" "):
                key = name
                notes[key] = text.strip()
            elif line.strip():
                notes[key] += f" {line.strip()}"
        if notes.keys() != set(keys):
            wrong = sorted(notes.keys() ^ set(keys))
            raise self.error(f"the notes of {self.name} and the code differ in: {', '.join(wrong)}")
        return notes


class _Answers(_FromCode):
    """``{answers} register`` prints the answers of an endpoint; the notes say when each is given."""

    def markdown(self) -> str:
        endpoint = _ENDPOINTS[self.arguments[0]]
        notes = self.notes(f"{answer.status} {answer.code}" for answer in endpoint.answers)
        rows = [
            (str(answer.status), answer.code, answer.result, notes[f"{answer.status} {answer.code}"])
            for answer in endpoint.answers
        ]
        text = "`info`" if endpoint.envelope == "info" else "`result`"
        return table(("status", "code", text, "when"), rows)


class _Fields(_FromCode):
    """``{fields} register`` prints the fields of a request."""

    def markdown(self) -> str:
        rows = []
        for name, rules in _ENDPOINTS[self.arguments[0]].schema.rules.items():
            meaning, example = _FIELDS[name]
            needed = "yes" if rules["required"] else "no"
            if rules.get("nullable"):
                needed += ", may be empty or null"
            rows.append((f"`{name}`", needed, f"{meaning}: {_rule(rules)}", f"`{example}`"))
        return table(("field", "required", "value", "example"), rows)


def _rule(rules: Mapping[str, Any]) -> str:
    limits = f" from {rules['min']} to {rules['max']}" if "min" in rules else ""
    return f"{rules['meta']['description']}{limits}"


class _Command(_FromCode):
    """``{command-help} doctor`` prints what ``--help`` prints."""

    def run(self) -> list[nodes.Node]:
        command = _COMMANDS[self.arguments[0]]
        context = click.Context(
            command, info_name=f"flask aegis-machines {command.name}", max_content_width=90
        )
        return [nodes.literal_block("", command.get_help(context), language="text")]


class _Path(_FromCode):
    """``{endpoint-path} register`` prints the method and the path of an endpoint."""

    def run(self) -> list[nodes.Node]:
        endpoint: Endpoint = _ENDPOINTS[self.arguments[0]]
        return [nodes.literal_block("", f"POST {endpoint.path}", language="text")]


_DIRECTIVES: Mapping[str, Callable[..., SphinxDirective]] = {
    "answers": _Answers,
    "command-help": _Command,
    "endpoint-path": _Path,
    "fields": _Fields,
}


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directives.

    Args:
        app: The builder of the site.
    """
    for name, directive in _DIRECTIVES.items():
        app.add_directive(name, directive)  # type: ignore[arg-type]
    return {"parallel_read_safe": True, "parallel_write_safe": True}
