"""The blueprint's own group of ``flask`` commands, for operators."""

from __future__ import annotations

import io
import json
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
from flask import Blueprint, current_app

from . import _config, _csv_import, identity, openapi
from ._errors import AegisMachinesError, ConfigurationError
from ._redaction import redact
from .identity import Authenticate
from .stores import MachineStore, UserStore

__all__ = ["add_commands"]

# Puts a line in the place of the progress bar; click leaves it out where the output is no terminal.
_OVER_THE_BAR = "\033[G\033[K"


def add_commands(
    blueprint: Blueprint, users: UserStore, machines: MachineStore, authenticate: Authenticate
) -> None:
    """Give a blueprint its commands.

    Args:
        blueprint: The blueprint.
        users: Where users are looked up.
        machines: Where machines are bound.
        authenticate: Returns the identity of a request's caller.

    Raises:
        Nothing.
    """
    blueprint.cli.help = "Machines that are bound to accounts."

    @blueprint.cli.command()
    def doctor() -> None:
        """Check what the machine endpoints need of this app; exit with 1 where something is wrong."""
        checks: dict[str, Callable[[], list[str]]] = {
            "endpoints": lambda: _config.problems(current_app.config),
            "tokens": lambda: identity.problems(authenticate, current_app),
            "users": _optional(users, UserStore.problems),
            "machines": _optional(machines, MachineStore.problems),
        }
        problems = 0
        for name, check in checks.items():
            try:
                found = check()
            except Exception as error:
                found = [f"could not be checked: {_told(error)}"]
            problems += len(found)
            for line in found or ["ok"]:
                click.echo(f"{name}: {line}")
        if problems:
            raise SystemExit(1)

    @blueprint.cli.command()
    @click.argument("machine_code")
    def show(machine_code: str) -> None:
        """Show who owns MACHINE_CODE, redacted, and since when; exit with 1 where nobody does."""
        find = _optional(machines, MachineStore.find)
        get_by_key = _optional(users, UserStore.get_by_key)
        try:
            try:
                found = find(machine_code)
            except NotImplementedError:
                raise ConfigurationError("This app's machine store has no find().") from None
            owner = None if found is None else get_by_key(found[1])
        except Exception as error:
            raise click.ClickException(_told(error)) from None
        if found is None:
            raise click.ClickException("Nobody has this machine code.")
        since = found[0].registered_at
        click.echo(f"owner: {redact(owner.id_number) if owner else 'gone'}")
        click.echo(f"since: {since.isoformat(timespec='seconds') if since else 'unknown'}")

    @blueprint.cli.command("openapi")
    @click.option("--prefix", default="", help="The url_prefix under which the blueprint is mounted.")
    def print_openapi(prefix: str) -> None:
        """Print the OpenAPI document of the machine endpoints, as JSON."""
        click.echo(json.dumps(openapi.document(prefix), indent=2))

    @blueprint.cli.command("import")
    @click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
    def import_file(file: Path) -> None:
        """Bind the machines of a CSV FILE in UTF-8, whose first line names the columns.

        The columns are those of a request, and "identity", which names the owner as a token does. Each line
        is checked like a request. Lines that are refused are listed on standard output with their reasons;
        the exit status is then 1. Run it again after a failure: what is bound already is passed over.
        """
        bind_many = _optional(machines, MachineStore.bind_many)
        counted = Counter({"bound": 0, "bound before": 0, "refused": 0})
        last = 1
        try:
            with (
                file.open("rb") as source,
                click.progressbar(length=file.stat().st_size, label="Importing", file=sys.stderr) as bar,
            ):
                # A byte that is no UTF-8 becomes a lone surrogate, which no field may hold.
                lines = io.TextIOWrapper(source, "utf-8-sig", errors="surrogateescape", newline="")
                for outcome in _csv_import.import_machines(_csv_import.read_rows(lines), users, bind_many):
                    for reason in outcome.reasons:
                        click.echo(f"{_OVER_THE_BAR}line {outcome.line}: {reason}")
                    counted[outcome.kind] += 1
                    last = outcome.line
                    if source.seekable():  # a pipe does not tell how far it is
                        bar.update(source.tell() - bar.pos)
        except BrokenPipeError:  # nobody reads standard output any more: click ends without a word
            raise
        except Exception as error:
            raise click.ClickException(_told(error)) from None
        finally:
            summary = ", ".join(f"{count} {kind}" for kind, count in counted.items())
            click.echo(f"{summary}, up to line {last}", err=True)
        if counted["refused"]:
            raise SystemExit(1)


def _optional(store: object, default: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that a store has by its base class, or lacks where it has no base of ours."""
    method: Callable[..., Any] = getattr(store, default.__name__, partial(default, store))
    return method


def _told(error: Exception) -> str:
    """Tell of a failure without any value: what others raise may hold some in its text."""
    if isinstance(error, AegisMachinesError):
        return str(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
