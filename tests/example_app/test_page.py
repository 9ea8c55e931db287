"""The page at / in a real browser, against the example on a port of loopback."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from example_app import create_app, demo
from example_app.models import Machine, User, db
from tests.servers import require, require_module

from .serving import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Locator, Page

pytestmark = pytest.mark.clusters

CODE = demo.REQUEST_EXAMPLE["machine_code"]
OPTIONS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]
# Chromium reports each answer that is not a 2xx, refusals too.
NOT_2XX = "Failed to load resource: the server responded with a status of "


class Visitor:
    """Somebody at the page, in a browser window of their own."""

    def __init__(self, browser: Browser, url: str, **window: Any) -> None:
        usual = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB"}
        self.context = browser.new_context(**{**usual, **window})
        self.context.set_default_timeout(10_000)
        self.page: Page = self.context.new_page()
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(url)

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(NOT_2XX):
            self.complaints.append(message.text)

    def sign_in(self, aegisspeed_id: str) -> None:
        """Sign in, and wait for the list of machines that follows."""
        with self.page.expect_response("**/machine/get/*"):
            self.press("sign-in", f"Sign in as {aegisspeed_id}")
        self.verdict("machines")

    def press(self, step: str, name: str) -> str:
        """Press a button of a step that sends something; return what the page says of the answer."""
        with self.page.expect_response(lambda response: response.request.method == "POST"):
            self.button(step, name).click()
        return self.verdict(step)

    def button(self, step: str, name: str) -> Locator:
        """Find a button by its name."""
        return self.page.locator(f"#{step}").get_by_role("button", name=name)

    def verdict(self, step: str) -> str:
        """Wait until a step has its answer; return the line about it, but for the time of day."""
        exchange = self.page.locator(f"#{step} .exchange[data-outcome][aria-busy=false]")
        exchange.wait_for()
        return " ".join(exchange.locator(".verdict > :not(.time)").all_inner_texts())

    def field(self, name: str) -> Locator:
        """Find a field of the form that binds."""
        return self.page.locator(f"#bind [name={name}]")

    def complaint_about(self, name: str) -> str:
        """Return what a screen reader says of a field, which is marked as wrong if there is any."""
        field = self.field(name)
        said = self.page.locator(f"#{field.get_attribute('aria-describedby')}").inner_text()
        assert (field.get_attribute("aria-invalid") == "true") == bool(said)
        return said

    def listed(self) -> list[str]:
        """Return the codes in the list of machines."""
        return self.page.locator("#list code").all_inner_texts()

    def tab_to(self, target: Locator) -> None:
        """Press the tab key until something has the focus."""

        def reached() -> bool:
            self.page.keyboard.press("Tab")
            return bool(target.evaluate("target => target === document.activeElement"))

        assert any(reached() for _ in range(40)), f"the tab key does not reach {target}"


Visit = Callable[..., Visitor]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, started once: each visitor has a profile of their own."""
    require_module("playwright", "playwright")
    program = shutil.which("chromium")
    require("needs Chromium: apt install chromium", program is not None)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Flask]:
    """The example app, fresh."""
    app = create_app(instance_path=str(tmp_path / "instance"))
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def visit(browser: Browser, example: Flask) -> Iterator[Visit]:
    """Open the page; at the end, the browser has asked nobody else for anything and complained of nothing."""
    visitors: list[Visitor] = []
    with served(example) as url:

        def visit(**window: Any) -> Visitor:
            visitors.append(Visitor(browser, url, **window))
            return visitors[-1]

        yield visit
        for visitor in visitors:
            visitor.context.close()
    for visitor in visitors:
        assert [asked for asked in visitor.asked if not asked.startswith(url)] == []
        assert visitor.complaints == []


def test_the_story(visit: Visit, example: Flask) -> None:
    """A machine is free, then bound, then taken, for its owner as for others; each step shows the wire."""
    visitor = visit()
    assert visitor.press("bind", "Bind the machine") == "401 10401 Missing or invalid token"
    visitor.sign_in("ASD000001")
    assert visitor.verdict("sign-in") == "200 Signed in"
    assert visitor.page.locator("#count").inner_text() == "No machines yet."
    assert visitor.press("check", "Check the code") == "200 10000 Machine code is available"

    with visitor.page.expect_response("**/machine/get/*"):
        assert visitor.press("bind", "Bind the machine") == "200 10000 Machine registered successfully"
    request = visitor.page.locator("#bind .request").inner_text()
    assert request.startswith("POST /machine/register/register_machine_info_by_aegisspeed_id\n")
    assert f'"machine_code": "{CODE}"' in request
    assert '"user_id": "110***********1234"' in visitor.page.locator("#bind .answer").inner_text()
    visitor.verdict("machines")
    assert visitor.listed() == [CODE]
    assert "Microsoft Windows 11" in visitor.page.locator("#list").inner_text()

    assert visitor.press("bind", "Bind the machine") == "409 10004 Machine code already registered"
    assert visitor.complaint_about("machine_code") == "Machine code already registered"
    visitor.sign_in("ASD000002")
    assert visitor.page.locator("#who").inner_text() == "Signed in as ASD000002."
    assert visitor.listed() == []
    assert visitor.press("check", "Check the code") == "409 10004 Machine code already registered"
    assert visitor.press("bind", "Bind the machine") == "409 10004 Machine code already registered"
    assert '"user_AegisSpeed_id": "ASD000002"' in visitor.page.locator("#bind .request").inner_text()

    with example.app_context():
        owners = db.session.execute(
            db.select(User.aegisspeed_id, Machine.machine_code).join(Machine, Machine.user_id == User.id)
        )
        assert owners.all() == [("ASD000001", CODE)]


def test_the_token_is_in_memory_alone(visit: Visit) -> None:
    """The token is neither shown nor kept: after a reload nobody is signed in."""
    visitor = visit()
    visitor.sign_in("ASD000001")
    assert "eyJ" not in visitor.page.content()
    assert visitor.context.storage_state() == {"cookies": [], "origins": []}
    visitor.page.reload()
    assert visitor.page.locator("#who").inner_text() == "Nobody is signed in."
    assert visitor.press("machines", "Read the list") == "401 10401 Missing or invalid token"
    assert visitor.page.locator("#count").inner_text() == "Sign in to see your machines."


def test_the_form_says_which_field_is_wrong(visit: Visit) -> None:
    """Each field of a 10400 has its message, the first one the focus; what is mended is no longer marked."""
    visitor = visit()
    visitor.sign_in("ASD000001")
    visitor.field("machine_code").fill("abc")
    visitor.field("machine_cpu").fill("")
    assert visitor.press("bind", "Bind the machine") == "400 10400 Invalid request"
    assert "exactly 32 printable ASCII characters" in visitor.complaint_about("machine_code")
    assert "1 to 255 characters" in visitor.complaint_about("machine_cpu")
    assert visitor.complaint_about("machine_platform") == ""
    assert visitor.field("machine_code").evaluate("field => field === document.activeElement")

    visitor.button("bind", "Random code").click()
    assert visitor.press("bind", "Bind the machine") == "400 10400 Invalid request"
    assert visitor.complaint_about("machine_code") == ""
    assert visitor.field("machine_cpu").evaluate("field => field === document.activeElement")

    visitor.button("bind", "Sample machine").click()
    assert visitor.complaint_about("machine_cpu") == ""
    assert visitor.field("machine_cpu").input_value() == demo.REQUEST_EXAMPLE["machine_cpu"]
    for wrong, answer in [
        ("x", "400 10002 Invalid user AegisSpeed ID"),
        ("ASD000002", "403 10006 User AegisSpeed ID does not match"),
    ]:
        visitor.field("user_AegisSpeed_id").fill(wrong)
        assert visitor.press("bind", "Bind the machine") == answer
        assert answer.endswith(visitor.complaint_about("user_AegisSpeed_id"))


def test_the_code_that_was_checked_is_the_one_to_bind(visit: Visit) -> None:
    """Both forms hold the same code, whichever of them it was typed into or made by."""
    visitor = visit()
    checked = visitor.page.locator("#check [name=machine_code]")
    checked.fill("typed")
    assert visitor.field("machine_code").input_value() == "typed"
    visitor.button("check", "Random code").click()
    assert visitor.field("machine_code").input_value() == checked.input_value()
    assert len(bytes.fromhex(checked.input_value())) == 16
    visitor.button("bind", "Sample machine").click()
    assert checked.input_value() == visitor.field("machine_code").input_value() == CODE


def test_values_are_text(visit: Visit) -> None:
    """Markup in a value is shown as it is, and makes no element."""
    visitor = visit()
    visitor.sign_in("ASD000001")
    visitor.field("machine_os_name").fill("<img src=x><b>Windows</b>")
    with visitor.page.expect_response("**/machine/get/*"):
        visitor.press("bind", "Bind the machine")
    visitor.verdict("machines")
    assert "<img src=x><b>Windows</b>, " in visitor.page.locator("#list").inner_text()
    assert visitor.page.locator("img, b").count() == 0


def test_the_list_has_pages(visit: Visit) -> None:
    """The fourth machine is on the second page, after which the list begins anew."""
    visitor = visit()
    visitor.sign_in("ASD000001")
    codes = []
    for _ in range(4):
        visitor.button("bind", "Random code").click()
        codes.append(visitor.field("machine_code").input_value())
        with visitor.page.expect_response("**/machine/get/*"):
            visitor.press("bind", "Bind the machine")
        visitor.verdict("machines")
    assert visitor.listed() == codes[:3]
    assert visitor.page.locator("#count").inner_text() == "More on the next page."
    visitor.press("machines", "Next page")
    assert visitor.listed() == codes[3:]
    assert visitor.button("machines", "Next page").is_disabled()
    visitor.press("machines", "Read the list")
    assert visitor.listed() == codes[:3]


def test_says_so_where_no_answer_comes(visit: Visit) -> None:
    """A server that is gone, or that answers no JSON, is told in words, until there is an answer."""
    visitor = visit()
    visitor.page.route("**/login", lambda route: route.fulfill(status=502, body="Bad gateway"))
    assert visitor.press("sign-in", "Sign in as ASD000001") == "502 The answer is not JSON"
    assert visitor.page.locator("#sign-in .answer").inner_text() == "Bad gateway"
    visitor.page.route("**/login", lambda route: route.abort())
    visitor.button("sign-in", "Sign in as ASD000001").click()
    assert visitor.verdict("sign-in") == "No answer: is the server running?"
    visitor.page.unroute("**/login")
    visitor.sign_in("ASD000001")
    assert visitor.verdict("sign-in") == "200 Signed in"
    assert visitor.complaints == ["Failed to load resource: net::ERR_FAILED"]
    visitor.complaints.clear()


def test_the_keyboard_is_enough(visit: Visit) -> None:
    """Tab and Enter alone sign in and bind, and each thing that has the focus shows it."""
    visitor = visit()
    page = visitor.page
    visitor.tab_to(visitor.button("sign-in", "Sign in as ASD000002"))
    with page.expect_response("**/machine/get/*"):
        page.keyboard.press("Enter")
    visitor.tab_to(visitor.field("machine_code"))
    assert visitor.field("machine_code").evaluate("field => getComputedStyle(field).outlineStyle") == "solid"
    page.keyboard.press("Control+A")
    page.keyboard.type("0123456789abcdef" * 2)
    with page.expect_response("**/machine/get/*"):
        page.keyboard.press("Enter")
    assert visitor.verdict("bind") == "200 10000 Machine registered successfully"
    visitor.tab_to(page.get_by_role("region", name="Bind a machine"))


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_moves(visit: Visit, width: int) -> None:
    """Neither an answer nor a longer list moves what was pressed, and nothing is wider than the window."""
    visitor = visit(viewport={"width": width, "height": 740})
    place = "button => button.getBoundingClientRect().top + window.scrollY"
    for step, name in [
        ("sign-in", "Sign in as ASD000001"),
        ("check", "Check the code"),
        ("bind", "Bind the machine"),
        ("bind", "Bind the machine"),
        ("check", "Check the code"),
        ("machines", "Read the list"),
    ]:
        button = visitor.button(step, name)
        before = button.evaluate(place)
        visitor.press(step, name)
        visitor.page.wait_for_load_state("networkidle")
        assert button.evaluate(place) == before
    assert visitor.page.evaluate("document.documentElement.scrollWidth") == width
    heights = visitor.page.locator("button").evaluate_all("found => found.map(each => each.offsetHeight)")
    assert min(heights) >= 44


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_accessible(visit: Visit, scheme: str, width: int) -> None:
    """The engine axe finds nothing wrong, contrast included, before and after answers of both kinds."""
    require_module("axe_playwright_python", "axe-playwright-python")
    from axe_playwright_python.sync_playwright import Axe

    visitor = visit(viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce")
    ground = visitor.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 26)"}[scheme]
    assert Axe().run(visitor.page).response["violations"] == []
    visitor.sign_in("ASD000001")
    visitor.press("bind", "Bind the machine")
    visitor.press("check", "Check the code")
    visitor.field("machine_cpu").fill("")
    visitor.press("bind", "Bind the machine")
    assert Axe().run(visitor.page).response["violations"] == []


@pytest.mark.parametrize(("wish", "moves"), [("reduce", False), ("no-preference", True)])
def test_moves_only_for_those_who_do_not_mind(visit: Visit, wish: str, moves: bool) -> None:
    """Where less motion is wished for, nothing scrolls or fades."""
    page = visit(reduced_motion=wish).page
    scrolling = page.evaluate("getComputedStyle(document.documentElement).scrollBehavior")
    assert scrolling == ("smooth" if moves else "auto")
    fading = "found => found.some(each => getComputedStyle(each).transitionDuration !== '0s')"
    assert page.locator("*").evaluate_all(fading) == moves


def test_screenshot(visit: Visit, tmp_path: Path) -> None:
    """The README's picture can be taken: AEGIS_MACHINES_SCREENSHOT names the file that it goes to."""
    picture = Path(os.environ.get("AEGIS_MACHINES_SCREENSHOT") or tmp_path / "demo.png")
    visitor = visit(viewport={"width": 1200, "height": 724}, reduced_motion="reduce")
    visitor.sign_in("ASD000001")
    for _ in range(2):
        visitor.press("bind", "Bind the machine")
    visitor.page.locator("#bind").evaluate("step => step.scrollIntoView()")
    visitor.page.mouse.move(0, 0)
    visitor.page.screenshot(path=picture)
    assert 10_000 < picture.stat().st_size < 200_000
