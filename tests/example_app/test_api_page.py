"""The API reference at /api/ in Chromium: Swagger UI, its "try it", and the token."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.typing import ResponseReturnValue

from tests.support.browser import Visit, Visitor

pytestmark = pytest.mark.browser


def open_viewer(visit: Visit, **window: object) -> Visitor:
    """Open the reference, and wait until the document is shown."""
    visitor = visit("api/", **window)
    visitor.page.locator(".opblock").first.wait_for()
    return visitor


def execute(visitor: Visitor) -> str:
    """Send the sample of the first endpoint, and return the answer."""
    if visitor.page.locator(".execute").count() == 0:
        visitor.page.locator(".opblock-summary-control").first.click()
    with visitor.page.expect_response("**/machine/register/*"):
        visitor.page.locator(".execute").first.click()
    response = visitor.page.locator(".live-responses-table .highlight-code").first
    response.wait_for()
    return response.inner_text()


def test_reference_shows_each_endpoint(visit: Visit) -> None:
    """The viewer shows the three endpoints, and its one heading is the page's."""
    visitor = open_viewer(visit)
    paths = visitor.page.locator(".opblock-summary-path").all_inner_texts()
    assert len(paths) == 3
    assert any("register_machine_info" in path.replace("\u200b", "") for path in paths)
    assert visitor.page.locator("h1:visible").all_inner_texts() == ["API reference"]


def test_sign_in_authorizes_the_requests(visit: Visit) -> None:
    """Without a token "Execute" gets 10401; after a sign-in it binds, for the other user it is refused."""
    visitor = open_viewer(visit)
    assert '"10401"' in execute(visitor)
    for user, code in [("ASD000001", '"10000"'), ("ASD000001", '"10004"'), ("ASD000002", '"10006"')]:
        visitor.page.get_by_role("button", name=f"Sign in as {user}").click()
        visitor.page.get_by_text(f"Signed in as {user}:").wait_for()
        visitor.page.locator(".btn-clear").first.click()
        assert code in execute(visitor)
    assert visitor.context.storage_state() == {"cookies": [], "origins": []}


@pytest.mark.parametrize("answer", [({}, 401), ("Bad gateway", 502)])
def test_failed_sign_in_is_reported(visit: Visit, example: Flask, answer: ResponseReturnValue) -> None:
    """If the login refuses or does not answer in JSON, the page says that the sign-in failed."""
    visitor = open_viewer(visit)
    example.view_functions["login.login"] = lambda: answer
    visitor.page.get_by_role("button", name="Sign in as ASD000001").click()
    visitor.page.get_by_text("The sign-in failed.").wait_for()


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (360, "dark"), (768, "light"), (1280, "dark")])
def test_reference_never_scrolls_sideways(visit: Visit, width: int, scheme: str) -> None:
    """With an endpoint and an answer open, the page is not wider than the window, in the visitor's colors."""
    visitor = open_viewer(visit, viewport={"width": width, "height": 740}, color_scheme=scheme)
    visitor.page.get_by_role("button", name="Sign in as ASD000001").click()
    visitor.page.get_by_text("Signed in as ASD000001:").wait_for()
    execute(visitor)
    assert visitor.page.evaluate("document.documentElement.scrollWidth") == width
    answer = visitor.page.locator(".live-responses-table .response-col_description").last.bounding_box()
    assert answer["width"] > width / 2  # and not squeezed into a column
    dark = visitor.page.evaluate("document.documentElement.classList.contains('dark-mode')")
    assert dark == (scheme == "dark")
