"""The page at / in Chromium: sizes, colors, movement and the keyboard."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.servers import require_module
from tests.support.browser import Visit, Visitor

pytestmark = pytest.mark.browser

WIDTHS = [320, 360, 768, 1280]
LONG_VALUES = {
    "machine_os_name": "Debian GNU/Linux 12 (bookworm)",
    "machine_cpu": "Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz (2 sockets, 64 cores)",
    "machine_motherboard": "Supermicro" + "X" * 245,
}


def width_of(visitor: Visitor) -> int:
    """Return the width that the page needs."""
    width: int = visitor.page.evaluate("document.documentElement.scrollWidth")
    return width


@pytest.mark.parametrize("width", WIDTHS)
def test_page_never_scrolls_sideways(visit: Visit, width: int) -> None:
    """With long values in every list, nothing is wider than the window."""
    visitor = visit(viewport={"width": width, "height": 740})
    assert width_of(visitor) == width
    visitor.sign_in("ASD000001")
    visitor.bind(**LONG_VALUES)
    assert LONG_VALUES["machine_motherboard"] in visitor.text("list")
    assert width_of(visitor) == width
    visitor.bind(**dict.fromkeys(LONG_VALUES, "x" * 256))
    assert visitor.field("machine_cpu").is_visible()
    visitor.press("machines", "Read the list")
    toggle = visitor.page.get_by_role("button", name="Details")
    if toggle.is_visible():
        toggle.click()
    assert width_of(visitor) == width
    beyond = "found => found.filter(each => each.getBoundingClientRect().right > innerWidth).length"
    assert visitor.page.locator("main *").evaluate_all(beyond) == 0


@pytest.mark.parametrize("width", WIDTHS)
def test_answers_move_nothing(visit: Visit, width: int) -> None:
    """Neither an answer nor a longer list moves the button that was pressed."""
    visitor = visit(viewport={"width": width, "height": 740})
    place = "button => button.getBoundingClientRect().top + window.scrollY"
    for step, name in [
        ("sign-in", "Sign in as ASD000001"),
        ("check", "Check the code"),
        ("bind", "Bind the machine"),
        ("bind", "Bind the machine"),
        ("check", "Check the code"),
        ("machines", "Read the list"),
        ("bind", "Sign in as the other user"),
    ]:
        button = visitor.button(step, name)
        before = button.evaluate(place)
        visitor.press(step, name)
        assert button.evaluate(place) == before


def test_buttons_are_large_enough_for_a_finger(visit: Visit) -> None:
    """The buttons of the steps are at least 44 pixels high, the others 24."""
    visitor = visit(viewport={"width": 360, "height": 740})
    height = "found => Math.min(...found.map(each => each.offsetHeight))"
    assert visitor.page.locator(".buttons button").evaluate_all(height) >= 44
    visitor.sign_in("ASD000001")
    assert visitor.page.locator("button:visible").evaluate_all(height) >= 24


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_no_violation(visit: Visit, scheme: str, width: int) -> None:
    """The engine axe finds no violation, of contrast included, before and after answers of each kind."""
    require_module("axe_playwright_python", "axe-playwright-python")
    from axe_playwright_python.sync_playwright import Axe

    visitor = visit(viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce")
    ground = visitor.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(246, 247, 249)", "dark": "rgb(15, 18, 21)"}[scheme]
    assert Axe().run(visitor.page).response["violations"] == []
    visitor.sign_in("ASD000001")
    visitor.bind()
    assert Axe().run(visitor.page).response["violations"] == []
    visitor.press("check", "Check the code")
    assert Axe().run(visitor.page).response["violations"] == []
    visitor.bind(machine_cpu="x" * 256)
    assert Axe().run(visitor.page).response["violations"] == []


@pytest.mark.parametrize(("wish", "moves"), [("reduce", False), ("no-preference", True)])
def test_reduced_motion_is_respected(visit: Visit, wish: str, moves: bool) -> None:
    """With reduced motion, nothing scrolls smoothly or fades."""
    page = visit(reduced_motion=wish).page
    scrolling = page.evaluate("getComputedStyle(document.documentElement).scrollBehavior")
    assert scrolling == ("smooth" if moves else "auto")
    fading = "found => found.some(each => getComputedStyle(each).transitionDuration !== '0s')"
    assert page.locator("*").evaluate_all(fading) == moves


def test_keyboard_reaches_everything(visit: Visit) -> None:
    """Tab and Enter sign in and bind, and each element that has the focus shows it."""
    visitor = visit()
    page = visitor.page
    visitor.tab_to(visitor.button("sign-in", "Sign in as ASD000002"))
    page.keyboard.press("Enter")
    assert visitor.verdict() == "200 Signed in"
    visitor.tab_to(visitor.field("machine_code"))
    outline = visitor.field("machine_code").evaluate("field => getComputedStyle(field).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Control+A")
    page.keyboard.type("0123456789abcdef" * 2)
    with page.expect_response("**/machine/register/*"):
        page.keyboard.press("Enter")
    page.locator("#answer", has_text="10000").wait_for()
    assert visitor.verdict() == "200 10000 Machine registered successfully"
    visitor.tab_to(page.get_by_role("region", name="Request and answer"))


def test_picture_can_be_taken(visit: Visit, tmp_path: Path) -> None:
    """AEGIS_MACHINES_SCREENSHOT names the file that the picture of the documentation is written to."""
    picture = Path(os.environ.get("AEGIS_MACHINES_SCREENSHOT") or tmp_path / "demo.png")
    visitor = visit(viewport={"width": 1200, "height": 760}, reduced_motion="reduce")
    visitor.sign_in("ASD000001")
    visitor.bind()
    visitor.press("bind", "Sign in as the other user")
    visitor.bind()
    visitor.page.locator("#check").evaluate("step => step.scrollIntoView()")
    visitor.page.mouse.move(0, 0)
    visitor.page.screenshot(path=picture)
    assert 10_000 < picture.stat().st_size < 200_000
