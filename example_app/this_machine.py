"""Binds the computer that it runs on, as a client does: `python -m example_app.this_machine`."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import click

from example_app.demo import LOGIN_PATH, REGISTER_PATH
from example_app.this_machine_facts import collect

GET_PATH = "/machine/get/get_user_machine_info_by_aegisspeed_id"

ALREADY_YOURS = 3
ANOTHERS = 4
EXIT_STATUSES = f"""\b
Exit status:
  0  bound now
  1  not bound: refused, failed, or not confirmed
  2  wrong usage
  {ALREADY_YOURS}  not bound now, since it is yours already
  {ANOTHERS}  not bound, since another account has the code
"""

CONNECTIONS = {"http": HTTPConnection, "https": HTTPSConnection}

RUN_AGAIN = "The machine may be bound or not. Run this program again: a repeated request binds nothing twice."
MEANINGS = {
    "10000": "This machine is bound to your account, permanently.",
    "10001": "The server does not take registrations at present. Try again later.",
    "10002": "This is not an AegisSpeed ID: it has 9 characters and no spaces.",
    "10003": "The account that you signed in to does not exist any more.",
    "10004": "The code of this machine is bound already.",
    "10005": f"The server failed. {RUN_AGAIN}",
    "10006": "The AegisSpeed ID is not the one of the account that you signed in to.",
    "10400": "The server refuses these values:",
    "10401": "The server refuses the token. Sign in again.",
    "10413": "The request is too large for the server.",
    "10415": "The server does not accept the request as JSON.",
    "10429": "There were too many requests. Wait before you try again.",
}


class NoAnswer(click.ClickException):
    """The server cannot be reached, or the response is not one of its answers."""


@click.command(epilog=EXIT_STATUSES)
@click.option("--url", default="http://127.0.0.1:5000", show_default=True, help="The root of the server.")
@click.option("--user", default="ASD000001", show_default=True, help="The AegisSpeed ID to sign in with.")
@click.option("--password", help="The password of the user. Default: a prompt.")
@click.option("--yes", is_flag=True, help="Bind without asking.")
def main(url: str, user: str, password: str | None, yes: bool) -> None:
    """Show what this computer is, and bind it to the account of a user, permanently.

    The machine code is made from the ID that Windows or Linux got when it was installed, or from the hardware
    UUID of a Mac: the first 32 hexadecimal digits of a SHA-256. It is the same each time. The ID itself is
    not sent, and cannot be computed from the code.
    """
    try:
        machine = collect()
    except LookupError as error:
        raise click.ClickException(str(error)) from None
    for name, value in machine.items():
        _print(f"{name:<26} {value or '-'}")
    if password is None:
        password = str(click.prompt(f"\nPassword of {user}", hide_input=True))
    token = _sign_in(url, user, password)
    if not yes:
        click.confirm(f"\nBind this computer to {user}? No call can undo it.", abort=True)

    try:
        answer = _post(url, REGISTER_PATH, {"user_AegisSpeed_id": user, **machine}, token)
    except NoAnswer as error:
        raise NoAnswer(f"{error.message} {RUN_AGAIN}") from None
    _explain(answer)
    if answer.get("code") == "10004":
        raise SystemExit(_explain_owner(_look_for_machine(url, user, token, machine["machine_code"])))
    if answer.get("code") != "10000":
        raise SystemExit(1)


def _explain(answer: dict[str, Any]) -> None:
    """Print an answer, its meaning, and the fields that it is about."""
    _print(f"\n{answer.get('status')} {answer.get('code')} {answer.get('result')}")
    _print(MEANINGS.get(str(answer.get("code")), "This program does not know that code."))
    for field, messages in _data(answer).get("errors", {}).items():
        _print(f"- {field}: {'; '.join(messages)}")


def _explain_owner(yours: bool | None) -> int:
    """Print who has the code of this machine, and return the exit status."""
    if yours is None:
        _print("The server does not show your machines, so this program cannot say whether it is yours.")
        return 1
    if yours:
        _print("It is yours: you bound it before.")
        return ALREADY_YOURS
    _print("Another account has this code: an image or a clone of this machine was bound before.")
    return ANOTHERS


def _look_for_machine(url: str, user: str, token: str, machine_code: str) -> bool | None:
    """Return whether a machine is on one of the user's pages, or None if they cannot be read."""
    page: dict[str, str] = {}
    while True:
        answer = _post(url, GET_PATH, {"user_AegisSpeed_id": user, **page}, token)
        if answer.get("code") != "10000":
            return None
        data = _data(answer)
        if any(machine["machine_code"] == machine_code for machine in data.get("machines", [])):
            return True
        if not data.get("next"):
            return False
        page = {"after": data["next"]}


def _sign_in(url: str, user: str, password: str) -> str:
    """Return a token. Every app has its own login: adapt this function to yours."""
    answer = _post(url, LOGIN_PATH, {"user_AegisSpeed_id": user, "password": password})
    if "access_token" not in answer:
        raise click.ClickException(answer.get("message", "The server refused the sign-in."))
    return str(answer["access_token"])


def _post(url: str, path: str, body: dict[str, Any], token: str = "") -> dict[str, Any]:
    """Post JSON and return the JSON object of the response, whatever its status."""
    try:
        parts = urlsplit(url)
        connect = CONNECTIONS[parts.scheme]
    except (KeyError, ValueError):
        raise NoAnswer(f"{url} is not the URL of a server. Use one like http://127.0.0.1:5000.") from None
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
        raise NoAnswer(f"The response from {url} is not a JSON object: this is another server, or a proxy.")
    return answer


def _data(answer: dict[str, Any]) -> dict[str, Any]:
    data = answer.get("data")
    return data if isinstance(data, dict) else {}


def _print(text: str) -> None:
    """Print text, with a question mark for each character that the terminal cannot show."""
    encoding = sys.stdout.encoding or "utf-8"
    click.echo(text.encode(encoding, "replace").decode(encoding))


if __name__ == "__main__":
    main()
