"""Work outside of a request: a task for a worker process, and the command that does the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TextIO

import click
from flask.cli import with_appcontext

from flask_aegis_machines import Refusal, UserNotFound, machine_from_document

from .machines import machine_store, user_store


def bind_for_user(user_id: str, document: Mapping[str, Any]) -> None:
    """Bind a machine to a user by the rules of a request: its checks, our limit, one owner for each code.

    Call it in an app context, such as that of a task of Celery.

    Args:
        user_id: The user's ``id``.
        document: The fields of the machine, by the names of the API document.

    Raises:
        Refusal: It cannot be bound.
    """
    machine = machine_from_document(document)
    user = user_store.get(user_id)
    if user is None:
        raise UserNotFound
    machine_store.bind(machine, user)


@click.command("bind-machine")
@click.argument("user_id")
@click.argument("file", type=click.File())
@with_appcontext
def bind_machine(user_id: str, file: TextIO) -> None:
    """Bind the machine that a JSON FILE describes to a user."""
    try:
        bind_for_user(user_id, json.load(file))
    except Refusal as refusal:
        raise click.ClickException(refusal.answer.result) from None
