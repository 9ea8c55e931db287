"""The page at / in Chromium."""

from __future__ import annotations

from unittest import mock

import pytest
from flask import Flask

from example_app import demo
from example_app.models import Machine, User, db
from tests.support.browser import Visit

pytestmark = pytest.mark.browser

CODE = demo.REQUEST_EXAMPLE["machine_code"]


class TestStory:
    """A code is free, then bound, then taken."""

    def test_second_user_cannot_bind_a_bound_machine(self, visit: Visit, example: Flask) -> None:
        """A machine is bound once, and every later registration is refused; each answer is shown."""
        visitor = visit()
        assert visitor.sign_in("ASD000001") == "200 Signed in"
        assert visitor.text("count") == "ASD000001 has no machines yet."
        assert visitor.bind() == "200 10000 Machine registered successfully"
        assert visitor.text("request").startswith("POST /machine/register/")
        assert f'"machine_code": "{CODE}"' in visitor.text("request")
        assert '"user_id": "110***********1234"' in visitor.text("answer")
        assert visitor.listed() == [CODE]
        assert "Microsoft Windows 11" in visitor.text("list")

        assert visitor.bind() == "409 10004 Machine code already registered"
        assert visitor.complaint_about("machine_code") == "Machine code already registered"
        assert visitor.press("bind", "Sign in as the other user") == "200 Signed in"
        assert visitor.complaint_about("machine_code") == ""
        assert visitor.text("who") == "Signed in as ASD000002."
        assert visitor.bind() == "409 10004 Machine code already registered"
        assert '"user_AegisSpeed_id": "ASD000002"' in visitor.text("request")
        assert visitor.press("machines", "Read the list").startswith("200 10000 ")
        assert visitor.listed() == []

        with example.app_context():
            owners = db.session.execute(
                db.select(User.aegisspeed_id, Machine.machine_code).join(Machine, Machine.user_id == User.id)
            )
            assert owners.all() == [("ASD000001", CODE)]

    def test_check_shows_whether_and_to_whom_a_code_is_bound(self, visit: Visit) -> None:
        """The three answers of the check are shown, none of them as an error of a field."""
        visitor = visit()
        visitor.sign_in("ASD000001")
        assert visitor.press("check", "Check the code") == "200 10000 Machine code not bound"
        assert visitor.panel.get_attribute("data-outcome") == "success"
        visitor.bind()
        for answer in [
            "200 10002 Machine code already bound to this user",
            "200 10003 Machine code already bound",
        ]:
            assert visitor.press("check", "Check the code") == answer
            assert visitor.panel.get_attribute("data-outcome") == "bound"
            assert visitor.page.locator("#check [aria-invalid=true]").count() == 0
            visitor.press("bind", "Sign in as the other user")

    def test_possible_step_stands_out(self, visit: Visit) -> None:
        """Exactly one step stands out, with the buttons that lead on, from the sign-in to the list."""
        visitor = visit()
        assert visitor.suggested() == ("sign-in", ["Sign in as ASD000001", "Sign in as ASD000002"])
        visitor.sign_in("ASD000001")
        assert visitor.suggested() == ("check", ["Check the code"])
        visitor.press("check", "Check the code")
        assert visitor.suggested() == ("bind", ["Bind the machine"])
        for _ in range(2):
            visitor.bind()
            assert visitor.suggested() == ("bind", ["Sign in as the other user"])
        visitor.press("bind", "Sign in as the other user")
        assert visitor.suggested() == ("bind", ["Bind the machine"])
        visitor.bind()
        assert visitor.suggested() == ("machines", ["Read the list"])

    def test_nobody_can_switch_before_a_sign_in(self, visit: Visit) -> None:
        """Until somebody is signed in there is no other user, and a request without a token is refused."""
        visitor = visit()
        assert visitor.button("bind", "Sign in as the other user").is_disabled()
        assert visitor.bind() == "401 10401 Missing or invalid token"
        assert visitor.suggested()[0] == "sign-in"

    def test_expired_token_leads_back_to_the_sign_in(self, visit: Visit, example: Flask) -> None:
        """After a 401 nobody is signed in, and the sign-in stands out."""
        visitor = visit()
        visitor.sign_in("ASD000001")
        example.config["JWT_SECRET_KEY"] = "another secret, with which no earlier token was signed"
        assert visitor.press("check", "Check the code") == "401 10401 Missing or invalid token"
        assert visitor.text("who") == "Nobody is signed in."
        assert visitor.suggested()[0] == "sign-in"
        assert visitor.button("bind", "Sign in as the other user").is_disabled()


class TestPanel:
    """The one panel with the last request and its answer."""

    def test_page_has_one_panel(self, visit: Visit) -> None:
        """Before the first request the panel says what to do; there is no other and no empty one."""
        visitor = visit()
        assert visitor.page.locator("pre:visible").count() == 2  # the commands for a terminal
        assert "Press a button of a step" in visitor.panel.inner_text()
        visitor.sign_in("ASD000001")
        assert visitor.page.locator("#exchange pre:visible").count() == 2
        assert "Press a button" not in visitor.panel.inner_text()

    def test_list_read_by_the_page_is_not_shown(self, visit: Visit) -> None:
        """The panel keeps the request that the visitor sent, not the one that the page sent after it."""
        visitor = visit()
        visitor.sign_in("ASD000001")
        assert visitor.text("request").startswith("POST /login\n")
        visitor.bind_random()
        assert visitor.text("request").startswith("POST /machine/register/")

    def test_panel_opens_on_a_small_screen(self, visit: Visit) -> None:
        """On a phone the panel is one line at the bottom, and its button shows the request and the answer."""
        visitor = visit(viewport={"width": 360, "height": 740})
        assert not visitor.panel.is_visible()
        visitor.sign_in("ASD000001")
        box = visitor.panel.bounding_box()
        assert box["y"] + box["height"] <= 740
        assert box["height"] < 110
        assert not visitor.page.locator("#request").is_visible()
        visitor.page.get_by_role("button", name="Details").click()
        assert visitor.page.locator("#request").is_visible()
        assert visitor.panel.bounding_box()["height"] <= 740 * 0.7 + 1
        visitor.page.get_by_role("button", name="Details").click()
        assert not visitor.page.locator("#request").is_visible()

    def test_token_is_kept_in_memory_only(self, visit: Visit) -> None:
        """The token is neither shown nor stored: after a reload nobody is signed in."""
        visitor = visit()
        visitor.sign_in("ASD000001")
        assert '"access_token": "…"' in visitor.text("answer")
        visitor.press("check", "Check the code")
        assert "Authorization: Bearer …" in visitor.text("request")
        assert "eyJ" not in visitor.page.content()
        assert visitor.context.storage_state() == {"cookies": [], "origins": []}
        visitor.page.reload()
        assert visitor.text("who") == "Nobody is signed in."
        assert visitor.press("machines", "Read the list") == "401 10401 Missing or invalid token"
        assert visitor.text("count") == "Sign in to see your machines."

    def test_missing_answer_is_explained(self, visit: Visit, example: Flask) -> None:
        """If the server is gone, or does not answer in JSON, the panel says so until there is an answer."""
        visitor = visit()
        with mock.patch.dict(example.view_functions, {"login.login": lambda: ("Bad gateway", 502)}):
            assert visitor.press("sign-in", "Sign in as ASD000001") == "502 The answer is not JSON"
            assert visitor.text("answer") == "Bad gateway"
        visitor.context.set_offline(True)
        answer = visitor.press("sign-in", "Sign in as ASD000001")
        assert answer == "No answer: is the server running?"
        visitor.context.set_offline(False)
        assert visitor.sign_in("ASD000001") == "200 Signed in"
        assert visitor.complaints == ["Failed to load resource: net::ERR_INTERNET_DISCONNECTED"]
        visitor.complaints.clear()


class TestFields:
    """The forms."""

    def test_message_is_below_its_field(self, visit: Visit) -> None:
        """Each refused field has its message below it, and the first has the focus."""
        visitor = visit()
        visitor.sign_in("ASD000001")
        assert visitor.bind(machine_code="abc", machine_cpu="x" * 256) == "400 10400 Invalid request"
        assert "exactly 32 printable ASCII characters" in visitor.complaint_about("machine_code")
        assert "255 characters" in visitor.complaint_about("machine_cpu")
        assert visitor.complaint_about("machine_platform") == ""
        assert visitor.field("machine_code").evaluate("field => field === document.activeElement")
        field = visitor.field("machine_cpu").bounding_box()
        message = visitor.page.locator("#bind-machine_cpu-error").bounding_box()
        assert message["x"] == field["x"]
        assert 0 <= message["y"] - (field["y"] + field["height"]) < 8

        visitor.button("bind", "Random code").click()
        assert visitor.bind() == "400 10400 Invalid request"
        assert visitor.complaint_about("machine_code") == ""
        assert visitor.field("machine_cpu").evaluate("field => field === document.activeElement")

        visitor.button("bind", "Sample machine").click()
        assert visitor.complaint_about("machine_cpu") == ""
        assert visitor.field("machine_cpu").input_value() == demo.REQUEST_EXAMPLE["machine_cpu"]

    def test_refused_fact_is_opened(self, visit: Visit) -> None:
        """The facts are folded until one of them is refused."""
        visitor = visit()
        visitor.sign_in("ASD000001")
        assert not visitor.field("machine_cpu").is_visible()
        visitor.bind(machine_cpu="x" * 256)
        assert visitor.field("machine_cpu").is_visible()

    @pytest.mark.parametrize(
        ("wrong", "answer"),
        [
            ("x", "400 10002 Invalid user AegisSpeed ID"),
            ("ASD000002", "403 10006 User AegisSpeed ID does not match"),
        ],
    )
    def test_wrong_aegisspeed_id_is_marked(self, visit: Visit, wrong: str, answer: str) -> None:
        """A refusal of the AegisSpeed ID is shown at its field."""
        visitor = visit()
        visitor.sign_in("ASD000001")
        assert visitor.bind(user_AegisSpeed_id=wrong) == answer
        assert answer.endswith(visitor.complaint_about("user_AegisSpeed_id"))
        assert visitor.complaint_about("user_AegisSpeed_id")

    def test_checked_code_is_the_one_to_bind(self, visit: Visit) -> None:
        """Both forms hold the same code, whether it was typed into one of them or made at random."""
        visitor = visit()
        checked = visitor.page.locator("#check [name=machine_code]")
        checked.fill("typed")
        assert visitor.field("machine_code").input_value() == "typed"
        visitor.button("check", "Random code").click()
        assert visitor.field("machine_code").input_value() == checked.input_value()
        assert len(bytes.fromhex(checked.input_value())) == 16
        visitor.button("bind", "Sample machine").click()
        assert checked.input_value() == visitor.field("machine_code").input_value() == CODE

    def test_values_are_inserted_as_text(self, visit: Visit) -> None:
        """Markup in a value is shown as it is, and creates no element."""
        visitor = visit()
        visitor.sign_in("ASD000001")
        visitor.bind(machine_os_name="<img src=x><b>Windows</b>")
        assert "<img src=x><b>Windows</b> · " in visitor.text("list")
        assert visitor.page.locator("main :is(img, b)").count() == 0

    def test_list_has_pages(self, visit: Visit) -> None:
        """The fourth machine is on the second page; reading the list again starts with the first."""
        visitor = visit()
        visitor.sign_in("ASD000001")
        codes = [visitor.bind_random() for _ in range(4)]
        assert visitor.listed() == codes[:3]
        assert visitor.text("count") == "There are more on the next page."
        visitor.press("machines", "Next page")
        assert visitor.listed() == codes[3:]
        assert visitor.button("machines", "Next page").is_disabled()
        visitor.press("machines", "Read the list")
        assert visitor.listed() == codes[:3]


class TestCopying:
    """The copy buttons."""

    @pytest.mark.parametrize("secure", [True, False])
    def test_commands_can_be_copied(self, visit: Visit, secure: bool) -> None:
        """A button copies the line to paste, also on http, where browsers have no clipboard API."""
        visitor = visit()
        if not secure:
            visitor.page.evaluate("navigator.clipboard.writeText = undefined")
        visitor.page.clock.install()  # which stands still until it is told to run
        visitor.button("terminal", "Copy").first.click()
        visitor.button("terminal", "Copied").wait_for()
        visitor.page.clock.run_for(2000)
        visitor.button("terminal", "Copied").wait_for(state="hidden")
        visitor.page.clock.resume()
        visitor.wait_for_copy(visitor.text("curl"))

    def test_code_and_answer_can_be_copied(self, visit: Visit) -> None:
        """Buttons copy the code of a listed machine, and the request and the answer."""
        visitor = visit()
        visitor.sign_in("ASD000001")
        code = visitor.bind_random()
        visitor.page.get_by_role("button", name=f"Copy the code {code}").click()
        visitor.wait_for_copy(code)
        for name in ["request", "answer"]:
            visitor.page.get_by_role("button", name=f"Copy the {name}").click()
            visitor.wait_for_copy(visitor.text(name))
