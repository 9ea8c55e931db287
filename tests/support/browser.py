"""Visitors of the example's pages, each in a browser window of their own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.servers import require, require_module

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Locator, Page

OPTIONS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]
# Chromium reports each response that is not a 2xx, refusals too.
NOT_2XX = "Failed to load resource: the server responded with a status of "
CLIPBOARD = ["clipboard-read", "clipboard-write"]


class Visitor:
    """Somebody on a page, in a browser window of their own."""

    def __init__(self, browser: Browser, url: str, **window: Any) -> None:
        usual = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", "permissions": CLIPBOARD}
        self.context = browser.new_context(**{**usual, **window})
        self.context.set_default_timeout(30_000)
        self.page: Page = self.context.new_page()
        self.requested: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requested.append(request.url))
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(url)

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(NOT_2XX):
            self.complaints.append(message.text)

    def sign_in(self, aegisspeed_id: str) -> str:
        """Sign in, and return the verdict."""
        return self.press("sign-in", f"Sign in as {aegisspeed_id}")

    def bind(self, **values: str) -> str:
        """Fill fields of the form, bind the machine, and return the verdict."""
        for name, value in values.items():
            self.field(name).evaluate("(field, value) => { field.value = value }", value)
        return self.press("bind", "Bind the machine")

    def bind_random(self) -> str:
        """Bind a machine with a random code, and return the code."""
        self.button("bind", "Random code").click()
        self.press("bind", "Bind the machine")
        return self.field("machine_code").input_value()

    def press(self, step: str, name: str) -> str:
        """Press a button that sends something; return the line about the answer once the list is read too."""
        self.panel.evaluate("panel => panel.removeAttribute('data-outcome')")
        self.button(step, name).click()
        return self.verdict()

    def button(self, step: str, name: str) -> Locator:
        """Find a button of a step by its name."""
        return self.page.locator(f"#{step}").get_by_role("button", name=name)

    @property
    def panel(self) -> Locator:
        """The panel with the last request."""
        return self.page.locator("#exchange")

    def verdict(self) -> str:
        """Wait for an answer and the list; return the line about the answer, without the name of the step."""
        self.page.locator("#exchange[data-outcome][aria-busy=false]").wait_for()
        self.page.locator("#list[aria-busy=false]").wait_for(state="attached")
        return " ".join(self.panel.locator(".verdict span:not(.name)").all_inner_texts())

    def text(self, name: str) -> str:
        """Return the text of an element, visible or not."""
        return self.page.locator(f"#{name}").text_content() or ""

    def field(self, name: str) -> Locator:
        """Find a field of the form that binds."""
        return self.page.locator(f"#bind [name={name}]")

    def complaint_about(self, name: str) -> str:
        """Return the message below a field, which is marked as wrong if there is one."""
        field = self.field(name)
        message = self.text(field.get_attribute("aria-describedby") or "")
        assert (field.get_attribute("aria-invalid") == "true") == bool(message)
        return message

    def listed(self) -> list[str]:
        """Return the codes in the list of machines."""
        return self.page.locator("#list code").all_inner_texts()

    def suggested(self) -> tuple[str | None, list[str]]:
        """Return the step that stands out, and the buttons that do."""
        steps = self.page.locator(".step[aria-current=step]")
        buttons = self.page.locator("button.go").all_inner_texts()
        assert steps.locator("button.go").count() == len(buttons)
        return steps.get_attribute("id"), buttons

    def wait_for_copy(self, text: str) -> None:
        """Wait until a text is in the clipboard, which a page writes to in its own time."""
        self.page.wait_for_function("async text => await navigator.clipboard.readText() === text", arg=text)

    def tab_to(self, target: Locator) -> None:
        """Press the tab key until an element has the focus."""

        def reached() -> bool:
            self.page.keyboard.press("Tab")
            return bool(target.evaluate("target => target === document.activeElement"))

        assert any(reached() for _ in range(40)), f"the tab key does not reach {target}"


Visit = Callable[..., Visitor]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium; skip the tests where it is missing."""
    require_module("playwright", "playwright")
    program = shutil.which("chromium-headless-shell")
    require("needs Chromium: apt install chromium-headless-shell", program is not None)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        yield browser
        browser.close()


@contextmanager
def visits(browser: Browser, url: str) -> Iterator[Visit]:
    """Open pages; at the end, no other server was asked for anything, and the browser reported no error."""
    visitors: list[Visitor] = []

    def visit(path: str = "", **window: Any) -> Visitor:
        visitors.append(Visitor(browser, url + path, **window))
        return visitors[-1]

    yield visit
    for visitor in visitors:
        visitor.context.close()
    for visitor in visitors:
        assert [each for each in visitor.requested if not each.startswith((url, "blob:"))] == []
        assert visitor.complaints == []
