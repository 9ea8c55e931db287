"""The blueprint's own group of ``flask`` commands, for operators."""

from __future__ import annotations

import io
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import click
from flask import Blueprint, current_app

from . import identity, importing, openapi, settings
from .errors import AegisMachinesError
from .identity import Authenticate
from .redaction import redact
from .stores import MachineStore, UserStore

__all__ = ["add_commands"]


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
            "endpoints": lambda: settings.problems(current_app.config),
            "tokens": lambda: identity.problems(authenticate, current_app),
            "machines": machines.problems,
        }
        problems = 0
        for name, check in checks.items():
            found = _run(check)
            problems += len(found)
            for line in found or ["ok"]:
                click.echo(f"{name}: {line}")
        if problems:
            raise SystemExit(1)

    @blueprint.cli.command()
    @click.argument("machine_code")
    def show(machine_code: str) -> None:
        """Show who owns MACHINE_CODE, redacted, and since when; exit with 1 where nobody does."""
        try:
            found = machines.find(machine_code)
            owner = None if found is None else users.get_by_key(found[1])
        except NotImplementedError:
            raise click.ClickException("This app's machine store has no find().") from None
        except AegisMachinesError as error:
            raise click.ClickException(str(error)) from None
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
        counted: Counter[str] = Counter()
        last = 1
        try:
            with (
                file.open("rb") as source,
                click.progressbar(length=file.stat().st_size, label="Importing", file=sys.stderr) as bar,
            ):
                # A byte that is no UTF-8 becomes a lone surrogate, which no field may hold.
                lines = io.TextIOWrapper(source, "utf-8-sig", errors="surrogateescape", newline="")
                for outcome in importing.import_machines(importing.read_rows(lines), users, machines):
                    last = outcome.line
                    counted[_kind(outcome)] += 1
                    for reason in [] if outcome.repeated else outcome.reasons:
                        click.echo(f"line {outcome.line}: {reason}")
                    bar.update(source.tell() - bar.pos)
        except (ValueError, AegisMachinesError) as error:
            raise click.ClickException(f"Stopped after line {last}. {error}") from None
        kinds = ("bound", "bound before", "refused")
        click.echo(", ".join(f"{counted[kind]} {kind}" for kind in kinds), err=True)
        if counted["refused"]:
            raise SystemExit(1)


def _kind(outcome: importing.Outcome) -> str:
    if outcome.refusal is None:
        return "bound"
    return "bound before" if outcome.repeated else "refused"


def _run(check: Callable[[], list[str]]) -> list[str]:
    try:
        return check()
    except Exception as error:  # of any store; only our own texts are known to hold no value
        told = str(error) if isinstance(error, AegisMachinesError) else type(error).__name__
        return [f"could not be checked: {told}"]
