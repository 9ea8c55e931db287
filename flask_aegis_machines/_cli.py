"""The ``flask`` commands of the blueprint, for operators."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import click
from flask import Blueprint, current_app
from flask.cli import with_appcontext

from . import openapi
from ._csv_import import import_machines
from ._csv_rows import read_rows
from ._doctor import run_checks
from ._dry_run import without_binding
from ._errors import ConfigurationError, Refusal
from ._exception_text import describe
from ._optional_methods import optional_method
from ._redaction import redact
from .identity import Authenticate
from .stores import MachineStore, Notice, UserStore

__all__ = ["add_commands"]

# Prints a line over the progress bar. click removes it where the output is not a terminal.
_CLEAR_LINE = "\033[G\033[K"


@dataclass(frozen=True, repr=False)
class _Mounted:
    """What a blueprint was made of."""

    users: UserStore
    machines: MachineStore
    authenticate: Authenticate
    refusals: Sequence[type[Refusal]]


_pass_mounted = click.make_pass_decorator(_Mounted)


def add_commands(
    blueprint: Blueprint,
    users: UserStore,
    machines: MachineStore,
    authenticate: Authenticate,
    refusals: Sequence[type[Refusal]] = (),
) -> None:
    """Add the commands to a blueprint.

    Args:
        blueprint: The blueprint.
        users: The user store.
        machines: The machine store.
        authenticate: Returns the identity of the caller of a request.
        refusals: The refusals that the app defines, for the OpenAPI document.
    """
    blueprint.cli.help = "Machines that are bound to users."
    for command in (doctor, show, print_openapi, import_file):
        # On the command and not on the group: with cli_group=None Flask takes the commands out of the group.
        command_of_blueprint = copy(command)
        mounted = _Mounted(users, machines, authenticate, refusals)
        command_of_blueprint.context_settings = {**command.context_settings, "obj": mounted}
        blueprint.cli.add_command(command_of_blueprint)


@click.command("doctor")
@click.option("--trial", is_flag=True, help="Also bind a random code for some user, and roll it back.")
@click.option("--with-hook", is_flag=True, help="Run the hook of the machine store in the trial.")
@with_appcontext
@_pass_mounted
def doctor(mounted: _Mounted, trial: bool, with_hook: bool) -> None:
    """Check what the endpoints need of this app.

    Each line is a problem, or a notice, which is no problem. The exit status is 1 where there is a problem.
    """
    if with_hook and not trial:
        raise click.UsageError("--with-hook needs --trial.")
    failed = False
    for name, lines in run_checks(
        current_app,
        mounted.users,
        mounted.machines,
        mounted.authenticate,
        trial=trial,
        with_hook=with_hook,
    ):
        for line in lines:
            is_notice = isinstance(line, Notice)
            click.echo(f"{name}: {'notice: ' if is_notice else ''}{line}")
            failed = failed or not is_notice
        if not lines:
            click.echo(f"{name}: ok")
    if failed:
        raise SystemExit(1)


@click.command("show", context_settings={"ignore_unknown_options": True})  # a code may begin with a hyphen
@click.argument("machine_code", type=click.UNPROCESSED)
@with_appcontext
@_pass_mounted
def show(mounted: _Mounted, machine_code: str) -> None:
    """Show who owns MACHINE_CODE, redacted, and since when.

    The owner is "gone" where the user was deleted: the code stays bound. The exit status is 1 where the code
    is not bound.
    """
    find = optional_method(mounted.machines, MachineStore.find)
    get_by_key = optional_method(mounted.users, UserStore.get_by_key)
    try:
        try:
            found = find(machine_code)
        except NotImplementedError:
            raise ConfigurationError("This app's machine store has no find().") from None
        owner = None if found is None or found[1] is None else get_by_key(found[1])
    except Exception as error:
        raise click.ClickException(describe(error)) from None
    if found is None:
        raise click.ClickException("This machine code is not bound.")
    since = found[0].registered_at
    click.echo(f"owner: {redact(owner.id_number) if owner else 'gone'}")
    click.echo(f"since: {since.isoformat(timespec='seconds') if since else 'unknown'}")


@click.command("openapi")
@click.option("--prefix", default="", help="The url_prefix under which the blueprint is mounted.")
@with_appcontext
@_pass_mounted
def print_openapi(mounted: _Mounted, prefix: str) -> None:
    """Print the OpenAPI document of the endpoints, as JSON."""
    click.echo(json.dumps(openapi.document(prefix, mounted.refusals), indent=2))


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Make all checks but hooks, and bind nothing.")
@with_appcontext
@_pass_mounted
def import_file(mounted: _Mounted, file: Path, dry_run: bool) -> None:
    """Bind the machines of a CSV FILE in UTF-8.

    The first line names the columns: the fields of a request, and "identity", which names the owner as a
    token does. A column "registered_at" is optional: ISO 8601 with an offset or "Z". Where it is empty, the
    machine is registered now.

    Each line is checked like a request. Refused lines are listed on standard output with their reasons, and
    the exit status is then 1. Run the command again after a failure: what is bound already is passed over.
    """
    if getattr(mounted.machines, "joins_host_transaction", False):
        raise click.ClickException('Nobody would commit: an import needs a store with transaction="own".')
    get_user = optional_method(mounted.users, UserStore.get_any)
    bind_many = optional_method(mounted.machines, MachineStore.bind_many)
    counts = {"bound": 0, "bound before": 0, "refused": 0}
    last = 1
    try:
        with (
            without_binding(mounted.machines.owner_of) if dry_run else nullcontext(bind_many) as bind,
            file.open("rb") as source,
            # A byte that is not UTF-8 becomes a lone surrogate, which no field may hold.
            io.TextIOWrapper(source, "utf-8-sig", errors="surrogateescape") as text,
            click.progressbar(length=file.stat().st_size, label="Importing", file=sys.stderr) as bar,
        ):
            for outcome in import_machines(read_rows(text), get_user, bind):
                for reason in outcome.reasons:
                    click.echo(f"{_CLEAR_LINE}line {outcome.line}: {reason}")
                counts[outcome.kind] += 1
                last = outcome.line
                if source.seekable():  # a pipe has no position
                    bar.update(source.tell() - bar.pos)
    except BrokenPipeError:  # nobody reads standard output any more: click exits without a message
        raise
    except Exception as error:
        raise click.ClickException(describe(error)) from None
    finally:
        bound = f"{counts['bound']} {'would be bound' if dry_run else 'bound'}"
        others = f"{counts['bound before']} bound before, {counts['refused']} refused"
        click.echo(f"{bound}, {others}, up to line {last}", err=True)
    if counts["refused"]:
        raise SystemExit(1)
