"""Starts the example by the README's command and talks to it as a client would."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

REGISTER = "/machine/register/register_machine_info_by_aegisspeed_id"


def post(url: str, body: dict[str, str], token: str = "") -> tuple[int, Any]:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    request = Request(url, json.dumps(body).encode(), headers)
    try:
        with urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, json.load(error)


def wait_until_it_serves(url: str, server: subprocess.Popen[bytes], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < deadline:
        try:
            urlopen(url, timeout=5).close()
            return
        except URLError:
            time.sleep(0.5)
    sys.exit("the example does not serve")


def check(url: str) -> None:
    tokens = {}
    for user in ("ASD000001", "ASD000002"):
        status, answer = post(url + "/login", {"user_AegisSpeed_id": user, "password": "demo"})
        assert status == 200, (status, answer)
        tokens[user] = answer["access_token"]
    facts = (
        *(
            "windows_uuid",
            "windows_product_id",
            "machine_os_name",
            "machine_os_version",
            "machine_architecture",
        ),
        *("machine_architecture_type", "machine_platform", "machine_cpu", "machine_motherboard"),
    )
    code = "abcd1234efgh5678ijkl9012mnop3456"
    machine = dict.fromkeys([*facts, "machine_mac_address"], "x64") | {"machine_code": code}
    for user, code_of_answer in (("ASD000001", "10000"), ("ASD000001", "10004"), ("ASD000002", "10004")):
        status, answer = post(url + REGISTER, {**machine, "user_AegisSpeed_id": user}, tokens[user])
        assert (status, answer["code"]) == ({"10000": 200, "10004": 409}[code_of_answer], code_of_answer), (
            answer
        )
        if code_of_answer == "10000":
            assert answer["data"] == {"machine_code": code, "user_id": "110***********1234"}, answer
        print(user, status, answer)


with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
with tempfile.TemporaryDirectory() as instance:
    environment = {**os.environ, "FLASK_RUN_PORT": str(port), "FLASK_INSTANCE_PATH": instance}
    server = subprocess.Popen(["bash", "-c", sys.argv[1]], env=environment, start_new_session=True)
    try:
        wait_until_it_serves(f"http://127.0.0.1:{port}/", server, 600)
        check(f"http://127.0.0.1:{port}")
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
