"""Starts the example by the README's command and talks to it as a client would."""

from __future__ import annotations

import sys

from example import get, post, serving, sign_in

REQUESTS = (("ASD000001", 200, "10000"), ("ASD000001", 409, "10004"), ("ASD000002", 409, "10004"))


def check(url: str) -> None:
    document = get(url + "/openapi.json")
    (path,) = (path for path in document["paths"] if path.startswith("/machine/register/"))
    schemas = document["components"]["schemas"]
    fields = schemas["RegisterRequest"]["properties"]
    machine = {
        name: schemas[field["$ref"].rpartition("/")[2]]["examples"][0] for name, field in fields.items()
    }
    for user, status, code in REQUESTS:
        answer = post(url + path, {**machine, "user_AegisSpeed_id": user}, sign_in(url, user))
        print(user, *answer)
        assert (answer[0], answer[1]["code"]) == (status, code), answer
        if code == "10000":
            bound = {"machine_code": machine["machine_code"], "user_id": "110***********1234"}
            assert answer[1]["data"] == bound, answer


with serving(sys.argv[1]) as url:
    check(url)
