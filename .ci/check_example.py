"""Starts the example by the README's command and talks to it as a client would."""

from __future__ import annotations

import sys

from example import post, serving, sign_in

REGISTER = "/machine/register/register_machine_info_by_aegisspeed_id"


def check(url: str) -> None:
    tokens = {user: sign_in(url, user) for user in ("ASD000001", "ASD000002")}
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


with serving(sys.argv[1]) as url:
    check(url)
