"""The demo users, a sample request, and the hint that `flask run` prints."""

from __future__ import annotations

import json
import shlex

import click
from flask.cli import run_command
from werkzeug.serving import is_running_from_reloader

PASSWORD = "demo"  # noqa: S105  # shown on the page
USERS = {"ASD000001": "110101199003071234", "ASD000002": "320106198811205621"}

LOGIN_PATH = "/login"
REGISTER_PATH = "/machine/register/register_machine_info_by_aegisspeed_id"
REQUEST_EXAMPLE = {
    "user_AegisSpeed_id": "ASD000001",
    "machine_code": "abcd1234efgh5678ijkl9012mnop3456",
    "windows_uuid": "12345678-1234-1234-1234-123456789012",
    "windows_product_id": "12345-12345-12345-12345-12345",
    "machine_os_name": "Microsoft Windows 11",
    "machine_os_version": "10.0.22631",
    "machine_architecture": "x64",
    "machine_architecture_type": "AMD64",
    "machine_platform": "Win32",
    "machine_cpu": "12th Gen Intel(R) Core(TM) i7-12700K",
    "machine_motherboard": "ASUS PRIME Z690-A",
    "machine_mac_address": "00:11:22:33:44:55",
}


def curl_line(url: str) -> str:
    """Return one line for a POSIX shell that signs in and registers the sample machine.

    Args:
        url: The root of the app, with or without a slash at the end.
    """
    url = url.rstrip("/")
    credentials = {"user_AegisSpeed_id": REQUEST_EXAMPLE["user_AegisSpeed_id"], "password": PASSWORD}
    python = 'import json, sys; print(json.load(sys.stdin)["access_token"])'
    token = f"$({_post(url + LOGIN_PATH, credentials)} | python3 -c {shlex.quote(python)})"
    return f'{_post(url + REGISTER_PATH, REQUEST_EXAMPLE)} -H "Authorization: Bearer {token}"'


def print_hint() -> None:
    """Print under `flask run`, and in no other command, what to try next."""
    context = click.get_current_context(silent=True)
    if context is None or context.command is not run_command or is_running_from_reloader():
        return
    host, port = context.params["host"], context.params["port"]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # shows an address, binds none
    scheme = "https" if context.params["cert"] else "http"
    url = f"{scheme}://[{host}]:{port}/" if ":" in host else f"{scheme}://{host}:{port}/"
    click.echo(f"\nOpen {url} or paste this line into another terminal:\n\n{curl_line(url)}\n")


def _post(url: str, body: dict[str, str]) -> str:
    data = shlex.quote(json.dumps(body))
    return f"curl -sS {shlex.quote(url)} -H 'Content-Type: application/json' -d {data}"
