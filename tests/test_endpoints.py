"""The two neighbours of the registration: the same gates, in the same order, over the same stores."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, NoReturn

import pytest
from flask import Flask, abort
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_aegis_machines import Machine, Owner, User, create_blueprint
from flask_aegis_machines._answers import (
    BOUND,
    BOUND_TO_USER,
    INVALID_REQUEST,
    NOT_BOUND,
    RETRIEVED,
    Answer,
)
from flask_aegis_machines._endpoint_definitions import ENDPOINTS, GET, REGISTER, VERIFY, Endpoint
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore
from flask_aegis_machines.testing import make_machine
from tests.support.hosts import FIRST, SECOND, authorization, example, post_with_wrongs

Call = Callable[..., TestResponse]
CODE = make_machine().machine_code
NEIGHBOURS = [pytest.param(VERIFY, id="verify"), pytest.param(GET, id="get")]


@pytest.fixture
def call(client: FlaskClient, token: str) -> Call:
    """Call an endpoint as the first user, with the fields given."""

    def post(endpoint: Endpoint, **fields: object) -> TestResponse:
        headers = {"Authorization": f"Bearer {token}"}
        return client.post(endpoint.path, json={"user_AegisSpeed_id": "ASD000001", **fields}, headers=headers)

    return post


def codes(page: TestResponse) -> list[str]:
    """Return the codes of the machines on a page."""
    return [machine["machine_code"] for machine in page.get_json()["data"]["machines"]]


def test_the_paths_are_those_of_the_document() -> None:
    """Names and folders are as documented, and each name is its view's."""
    assert [endpoint.path for endpoint in ENDPOINTS] == [
        "/machine/register/register_machine_info_by_aegisspeed_id",
        "/verify/verify_is_machine_code_available_by_aegisspeed_id",
        "/machine/get/get_user_machine_info_by_aegisspeed_id",
    ]


class TestVerify:
    """Whether a machine code is bound, and to whom."""

    @pytest.mark.parametrize(
        ("owner", "answer", "bound"),
        [(None, NOT_BOUND, False), (FIRST, BOUND_TO_USER, True), (SECOND, BOUND, True)],
        ids=["nobody", "this user", "another user"],
    )
    def test_a_code_is_checked(
        self,
        call: Call,
        machines: MemoryMachineStore,
        owner: User | None,
        answer: Answer,
        bound: bool,
    ) -> None:
        """The four keys of the document, with ``result`` true where the code is bound; nothing is bound."""
        if owner is not None:
            machines.bind(make_machine(), owner)
        response = call(VERIFY, machine_code=CODE)
        status, code, info = answer
        assert response.json == {"status": status, "code": code, "info": info, "result": bound}
        assert response.status_code == 200
        assert (machines.owner_of(CODE) is None) == (owner is None)

    def test_a_code_without_an_owner_is_bound(self, app: Flask) -> None:
        """A code whose owner was deleted stays bound, to nobody's account."""

        class Orphans(MemoryMachineStore):
            def owner_of(self, machine_code: str) -> Owner | None:
                return Owner(None)

        assert ask(app, VERIFY, Orphans()) == BOUND.code

    def test_an_error_keeps_the_four_keys(self, call: Call) -> None:
        """Only 10400 adds ``data``, and ``result`` is false."""
        mismatch = call(VERIFY, machine_code=CODE, user_AegisSpeed_id="ASD000002")
        info = "User AegisSpeed ID does not match"
        assert mismatch.json == {"status": 403, "code": "10006", "info": info, "result": False}
        invalid = call(VERIFY, machine_code="x").get_json()
        message = "must be exactly 32 printable ASCII characters without spaces"
        assert invalid == {
            **{"status": 400, "code": "10400", "info": "Invalid request", "result": False},
            "data": {"errors": {"machine_code": [message]}},
        }

    def test_a_missing_user_is_10404(self, app: Flask, client: FlaskClient) -> None:
        """10003 means "bound" here."""
        sent = {"user_AegisSpeed_id": "ASD000001", "machine_code": CODE}
        answer = client.post(VERIFY.path, json=sent, headers=authorization(app, "3"))
        expected = {"status": 404, "code": "10404", "info": "User does not exist", "result": False}
        assert (answer.status_code, answer.json) == (404, expected)

    def test_a_rate_limit_keeps_the_shape(self, app: Flask, call: Call) -> None:
        """The limiter's 429 has the keys of the endpoint that it answers on."""
        app.before_request(lambda: abort(429))
        expected = {"status": 429, "code": "10429", "info": "Too many requests", "result": False}
        assert call(VERIFY, machine_code=CODE).json == expected
        assert call(GET).get_json()["data"] == {}

    @pytest.mark.parametrize("code", ["x", None, CODE + "\n", 7])
    def test_an_ill_formed_code_is_refused(self, call: Call, code: object) -> None:
        """The form of a code is that of the registration, to the word."""
        verified, registered = call(VERIFY, machine_code=code), call(REGISTER, machine_code=code)
        assert verified.status_code == 400
        errors = verified.get_json()["data"]["errors"]
        assert errors == {"machine_code": registered.get_json()["data"]["errors"]["machine_code"]}

    def test_a_placeholder_may_be_checked(self, call: Call, machines: MemoryMachineStore) -> None:
        """An owner may have bound one before it was refused."""
        machines.bind(make_machine("0" * 32), FIRST)
        assert call(VERIFY, machine_code="0" * 32).get_json()["code"] == BOUND_TO_USER.code
        assert codes(call(GET, after="f" * 32)) == []
        assert call(REGISTER, **{**example(), "machine_code": "0" * 32}).get_json()["code"] == "10400"


class TestGet:
    """The caller's machines, page by page."""

    @pytest.fixture
    def five(self, machines: MemoryMachineStore) -> list[str]:
        """Five machines of the first user, with others of the second's between them."""
        bound = [f"{number:032}" for number in (5, 3, 4, 1, 2)]
        for code in bound:
            machines.bind(make_machine(code), FIRST)
            machines.bind(make_machine("x" + code[1:]), SECOND)
        return bound

    def test_nobody_s_list_is_empty(self, call: Call) -> None:
        """A user without machines gets an empty page, and their ID number redacted."""
        data = {"user_id": "110***********1234", "machines": [], "next": None}
        assert call(GET).json == {**RETRIEVED._asdict(), "data": data}

    def test_a_machine_has_every_field_and_its_timestamp(self, call: Call, document: dict[str, Any]) -> None:
        """Every field comes back as it was registered, with the timestamp in UTC, and nothing else."""
        before = datetime.now(timezone.utc)
        call(REGISTER, **document)
        after = datetime.now(timezone.utc)
        (machine,) = call(GET).get_json()["data"]["machines"]
        timestamp = datetime.fromisoformat(machine.pop("registered_at"))
        assert {"user_AegisSpeed_id": "ASD000001", **machine} == document
        assert timestamp.utcoffset() == timedelta(0)
        assert before <= timestamp <= after

    def test_pages_join(self, call: Call, five: list[str], machines: MemoryMachineStore) -> None:
        """Oldest first, the pages are the list without gap or repetition, also while a machine is added."""
        first = call(GET, limit=2)
        machines.bind(make_machine("~" * 31 + "a"), FIRST)
        second = call(GET, limit=2, after=first.get_json()["data"]["next"])
        third = call(GET, limit=2, after=second.get_json()["data"]["next"])
        assert codes(first) + codes(second) + codes(third) == [*five, "~" * 31 + "a"]
        assert [page.get_json()["data"]["next"] for page in (first, second, third)] == [
            five[1],
            five[3],
            None,
        ]

    @pytest.mark.parametrize("limit", [1, 5, 6, 100, None])
    def test_next_is_there_where_more_is(self, call: Call, five: list[str], limit: int | None) -> None:
        """A page that is just full says truthfully whether it is the last; unless asked, it holds 100."""
        page = call(GET, **({} if limit is None else {"limit": limit}))
        assert codes(page) == five[:limit]
        assert page.get_json()["data"]["next"] == (five[0] if limit == 1 else None)

    def test_a_page_holds_a_hundred(self, call: Call, machines: MemoryMachineStore) -> None:
        """The hundred and first machine is on the second page."""
        for number in range(1, 102):
            machines.bind(make_machine(f"{number:032}"), FIRST)
        page = call(GET)
        assert len(codes(page)) == 100
        assert codes(call(GET, after=page.get_json()["data"]["next"])) == [f"{101:032}"]

    @pytest.mark.parametrize("after", ["x" + f"{5:031}", "y" * 31 + "z"], ids=["a stranger's", "nobody's"])
    def test_a_page_after_another_s_machine_is_empty(self, call: Call, five: list[str], after: str) -> None:
        """Neither answer shows whether somebody else has the code."""
        assert (codes(call(GET, after=after)), five[0]) == ([], f"{5:032}")

    @pytest.mark.parametrize(
        ("field", "value", "message"),
        [
            ("limit", 0, "min value is 1"),
            ("limit", 101, "max value is 100"),
            ("limit", True, "must be of integer type"),
            ("limit", 5.5, "must be of integer type"),
            ("limit", "5", "must be of integer type"),
            ("limit", None, "null value not allowed"),
            ("after", "short", "must be exactly 32 printable ASCII characters without spaces"),
            ("after", 7, "must be of string type"),
        ],
    )
    def test_a_bad_field_is_named(self, call: Call, field: str, value: object, message: str) -> None:
        """A limit out of bounds and a mark that is no code are refused, and nothing is coerced."""
        answer = call(GET, **{field: value})
        expected = {**INVALID_REQUEST._asdict(), "data": {"errors": {field: [message]}}}
        assert (answer.status_code, answer.json) == (400, expected)

    def test_a_store_that_returns_no_timestamp_is_10005(
        self, app: Flask, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A store of the host's own that breaks its promise is named in the log."""

        class Forgetful(MemoryMachineStore):
            def list_for(self, user: User, *, after: str | None = None, limit: int = 100) -> list[Machine]:
                return [make_machine()]

        assert ask(app, GET, Forgetful()) == "10005"
        assert "list_for() returned a machine without registered_at" in caplog.text


def ask(host: Flask, endpoint: Endpoint, machines: MemoryMachineStore) -> str:
    """Call an endpoint of a second mount in a host, over this store; return the code of the answer."""
    stores = {"users": MemoryUserStore([FIRST]), "machines": machines}
    host.register_blueprint(create_blueprint(**stores, authenticate=lambda: 1, name="again"), url_prefix="/a")
    fields = {"user_AegisSpeed_id": "ASD000001"}
    if endpoint is VERIFY:
        fields["machine_code"] = CODE
    answer: str = host.test_client().post("/a" + endpoint.path, json=fields).get_json()["code"]
    return answer


class TestGates:
    """What the neighbours share with the registration."""

    WRONGS = ("10001", "10401", "10415", "10413", "10400 body", "10002", "10400", "10003", "10006")

    @pytest.mark.parametrize("endpoint", NEIGHBOURS)
    @pytest.mark.parametrize("first", range(len(WRONGS)))
    def test_the_first_wrong_thing_is_answered(
        self, app: Flask, client: FlaskClient, endpoint: Endpoint, first: int
    ) -> None:
        """Everything from ``first`` on is wrong at once; the order is that of the registration."""
        wrong = set(self.WRONGS[first:])
        document: dict[str, object] = {"user_AegisSpeed_id": "ASD000002", "machine_code": CODE}
        app.config[endpoint.config_key] = "10001" not in wrong
        headers = {} if "10401" in wrong else authorization(app, "3" if "10003" in wrong else "1")
        if "10400" in wrong:
            document.update(machine_code="", limit=0)
        if "10002" in wrong:
            document["user_AegisSpeed_id"] = ""
        answer = post_with_wrongs(client, endpoint.path, document, headers, wrong)
        expected = self.WRONGS[first][:5]
        if (endpoint, expected) == (VERIFY, "10003"):
            expected = "10404"
        assert answer.get_json()["code"] == expected

    @pytest.mark.parametrize("closed", ENDPOINTS, ids=lambda endpoint: endpoint.config_key)
    def test_each_endpoint_has_its_own_switch(self, app: Flask, call: Call, closed: Endpoint) -> None:
        """Closing one closes no other."""
        app.config[closed.config_key] = False
        fields = {REGISTER: example(), VERIFY: {"machine_code": CODE}, GET: {}}
        answers = {endpoint: call(endpoint, **sent).get_json()["code"] for endpoint, sent in fields.items()}
        assert answers == {**dict.fromkeys(ENDPOINTS, "10000"), closed: "10001"}

    @pytest.mark.parametrize("endpoint", NEIGHBOURS)
    def test_a_store_that_fails_is_10005(
        self, app: Flask, endpoint: Endpoint, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A failure is in the envelope, and once in the log."""

        class Broken(MemoryMachineStore):
            def fail(self, *args: object, **options: object) -> NoReturn:
                raise LookupError("the store broke")

            owner_of = list_for = fail

        assert ask(app, endpoint, Broken()) == "10005"
        (record,) = caplog.records
        assert "the store broke" in caplog.text
        assert endpoint.name in record.getMessage()


def test_what_verify_promises_register_keeps(call: Call, document: dict[str, Any]) -> None:
    """One after the other: free, bound, bound to this user, on the list."""
    assert call(VERIFY, machine_code=CODE).get_json()["code"] == NOT_BOUND.code
    assert call(REGISTER, **document).status_code == 200
    assert call(VERIFY, machine_code=CODE).get_json()["code"] == BOUND_TO_USER.code
    assert codes(call(GET)) == [CODE]
