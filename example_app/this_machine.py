"""Binds the computer that it runs on, as any client would: `python -m example_app.this_machine`."""

from __future__ import annotations

import json
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import click

from example_app.this_machine_facts import collect

LOGIN = "/login"
REGISTER = "/machine/register/register_machine_info_by_aegisspeed_id"
GET = "/machine/get/get_user_machine_info_by_aegisspeed_id"

CONNECTIONS = {"http": HTTPConnection, "https": HTTPSConnection}

RUN_AGAIN = "Run this again: it will tell."
MEANINGS = {
    "10000": "This machine is bound to your account now, and for ever.",
    "10001": "The server takes no registrations at present. Try again later.",
    "10002": "That is no AegisSpeed ID: it has 9 characters, and no spaces.",
    "10003": "The account that you signed in to is gone.",
    "10004": "The code of this machine is bound already, and stays where it is.",
    "10005": f"The server failed. The machine may be bound or not. {RUN_AGAIN}",
    "10006": "The AegisSpeed ID is not that of the account that you signed in to.",
    "10400": "The server does not take these values:",
    "10401": "The server does not take the token. Sign in again.",
    "10413": "The server does not take so much at once.",
    "10415": "The server does not take this for JSON.",
    "10429": "The server is asked too often. Wait a while, and try again.",
}


class NoAnswer(click.ClickException):
    """The server cannot be reached, or what answers there is something else."""


@click.command()
@click.option("--url", default="http://127.0.0.1:5000", show_default=True, help="Where the server is.")
@click.option("--user", default="ASD000001", show_default=True, help="The AegisSpeed ID to sign in with.")
@click.option("--password", help="The user's password; asked for where it is not given.")
def main(url: str, user: str, password: str | None) -> None:
    """Show what this computer is, and bind it to a user's account, for ever.

    Its machine code is made of the ID that its system got when it was installed: the first 32 hexadecimal
    digits of a SHA-256, which do not lead back to the ID. It is the same each time.
    """
    try:
        machine = collect()
    except LookupError as error:
        raise click.ClickException(str(error)) from None
    for name, value in machine.items():
        click.echo(f"{name:<26} {value}")
    if password is None:
        password = str(click.prompt(f"\nPassword of {user}", hide_input=True))

    token = _sign_in(url, user, password)
    try:
        answer = _post(url, REGISTER, {"user_AegisSpeed_id": user, **machine}, token)
    except NoAnswer as error:
        raise NoAnswer(f"{error.message} The machine may be bound or not. {RUN_AGAIN}") from None
    _explain(answer)
    if answer.get("code") == "10004":
        if not _is_listed(url, user, token, machine["machine_code"]):
            raise click.ClickException("The server does not list it among yours.")
        click.echo("It is yours: you bound it before.")
    elif answer.get("code") != "10000":
        raise SystemExit(1)


def _explain(answer: dict[str, Any]) -> None:
    """Print an answer, what it means, and which fields it is about."""
    click.echo(f"\n{answer.get('status')} {answer.get('code')} {answer.get('result')}")
    click.echo(MEANINGS.get(str(answer.get("code")), "This program does not know that code."))
    for field, messages in (answer.get("data") or {}).get("errors", {}).items():
        click.echo(f"- {field}: {'; '.join(messages)}")


def _post(url: str, path: str, body: dict[str, Any], token: str = "") -> dict[str, Any]:
    """Send JSON and return what the server answers, whatever its status."""
    try:
        parts = urlsplit(url)
        connect = CONNECTIONS[parts.scheme]
    except (KeyError, ValueError):
        raise NoAnswer(f"{url} is no address of a server: give one like http://127.0.0.1:5000.") from None
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        with closing(connect(parts.netloc, timeout=30)) as connection:
            connection.request("POST", parts.path.rstrip("/") + path, json.dumps(body), headers)
            answer = json.load(connection.getresponse())
    except (OSError, HTTPException) as error:
        raise NoAnswer(f"The server at {url} cannot be reached ({error}). Does it run?") from None
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise NoAnswer(f"What answers at {url} is something else: it does not speak JSON.")
    return answer


def _sign_in(url: str, user: str, password: str) -> str:
    """Return a token. How one signs in is the host's affair: change this for yours."""
    answer = _post(url, LOGIN, {"user_AegisSpeed_id": user, "password": password})
    if "access_token" not in answer:
        raise click.ClickException(answer.get("message", "The server does not sign you in."))
    return str(answer["access_token"])


def _is_listed(url: str, user: str, token: str, machine_code: str) -> bool:
    """Look for a machine among the user's own, page by page."""
    page: dict[str, str] = {}
    while True:
        data = _post(url, GET, {"user_AegisSpeed_id": user, **page}, token).get("data", {})
        if any(machine["machine_code"] == machine_code for machine in data.get("machines", [])):
            return True
        if not data.get("next"):  # the last page, or no list at all
            return False
        page = {"after": data["next"]}


if __name__ == "__main__":
    main()
