"""However it is looked at: small, dark, without motion, by keyboard, and with names that bite."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from ..http.backends import MDADM, Backend
from ..http.site import Site
from ..lab.drives import Drive
from .conftest import Open
from .dashboard import Dashboard
from .tab import Tab

BACKENDS = [MDADM]
IMAGES = Path(__file__).parents[3] / "docs" / "images"
WRITE = "BACKY_WRITE_SCREENSHOTS"
"""Set: make the pictures of docs/dashboard.md anew."""
HOSTILE = "<img src>\"'&amp;<script>alert(1)</script>"
DRIVES = [
    Drive("<b>&amp;\"'</b>", 64 << 20, name="hostile"),
    *(Drive(f"drive-scsi{number}", 64 << 20) for number in (1, 2, 3)),
]
SERIALS = [drive.serial for drive in DRIVES]
PATHS = ("/", "/drives", "/create", "/import")
LOOKS: dict[str, dict[str, Any]] = {
    "phone": {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True},
    "dark": {"color_scheme": "dark"},
    "light": {"reduced_motion": "reduce"},
}
_MOVING = "document.getAnimations().filter((one) => one.playState === 'running').length"
_LUMINANCE = """() => {
    const canvas = document.createElement("canvas").getContext("2d")
    canvas.fillStyle = getComputedStyle(document.body).backgroundColor
    canvas.fillRect(0, 0, 1, 1)
    return canvas.getImageData(0, 0, 1, 1).data.slice(0, 3).reduce((sum, part) => sum + part, 0)
}"""


def test_names_are_text(site: Site, backend: Backend, tab: Tab) -> None:
    """Names of drives and pools are shown as they are, never as markup."""
    drive = SERIALS[0]
    site.made(*SERIALS[:2], **backend.options(), label=HOSTILE, driveLabels={drive: HOSTILE})
    board = Dashboard(tab, site.guest.api_key)
    board.sign_in()
    expect(board.page.get_by_role("heading", name=HOSTILE, exact=True)).to_be_visible()
    expect(board.page.get_by_text(drive, exact=True)).to_be_visible()
    board.check("hostile names")
    board.page.get_by_role("link", name=HOSTILE, exact=True).click()
    expect(board.page.get_by_role("heading", name=HOSTILE, exact=True)).to_be_visible()
    expect(board.page.get_by_role("cell", name=drive, exact=True)).to_be_visible()
    board.check("a pool with a hostile name")
    board.button("Delete").click()
    expect(board.dialog(f"Delete {HOSTILE}")).to_contain_text(drive)
    board.page.keyboard.press("Escape")
    board.visit("/drives")
    expect(board.page.get_by_text(drive, exact=True)).to_be_visible()
    board.check("a drive with a hostile serial")


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_in_this_look(site: Site, backend: Backend, open_tab: Open, look: str) -> None:
    site.made(*SERIALS[1:3], **backend.options(), label="a rather long label for a small screen")
    tab = open_tab(site.guest.url, **LOOKS[look])
    board = Dashboard(tab, site.guest.api_key)
    board.sign_in()
    for path in PATHS:
        board.visit(path)
        board.page.wait_for_timeout(300)
        board.check(f"{path} {look}")
        assert not tab.page.evaluate(_MOVING), path
        assert (tab.page.evaluate(_LUMINANCE) < 150) is (look == "dark"), path
    board.visit("/")
    _write(tab, look)
    board.page.get_by_role("link", name="a rather long label").click()
    board.button("Rename").click()
    board.dialog("Rename a rather long label")
    board.check(f"dialog {look}")


def _write(tab: Tab, look: str) -> None:
    """Make the picture that docs/dashboard.md shows, if asked to."""
    if os.environ.get(WRITE):
        IMAGES.mkdir(exist_ok=True)
        expect(tab.page.get_by_role("article")).to_be_visible()
        tab.picture(IMAGES / f"dashboard-{look}.png")


def test_create_with_the_keyboard_alone(site: Site, tab: Tab) -> None:
    """Every control is reached by Tab, in view, and shows that it has the focus."""
    board = Dashboard(tab, site.guest.api_key)
    keyboard = board.page.keyboard
    board.page.goto("/create")
    reach(board, board.page.get_by_label("API key"))
    keyboard.insert_text(site.guest.api_key)
    keyboard.press("Enter")
    board.until_live()
    reach(board, board.page.get_by_label("Label of the pool"))
    keyboard.type("typed")
    for serial in SERIALS[2:]:
        reach(board, board.page.get_by_role("checkbox", name=serial))
        keyboard.press("Space")
    reach(board, board.page.get_by_role("radio", checked=True))
    while not board.page.get_by_role("radio", name=re.compile(r"^raid1\b")).is_checked():
        keyboard.press("ArrowDown")
    reach(board, board.button("Show the plan"))
    keyboard.press("Enter")
    reach(board, board.button("Create pool"))
    keyboard.press("Enter")
    expect(board.page.get_by_text("Mounted", exact=True)).to_be_visible()
    reach(board, board.button("Rename"))
    keyboard.press("Enter")
    dialog = board.dialog("Rename typed")
    keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(board.button("Rename")).to_be_focused()


def reach(board: Dashboard, control: Locator, most: int = 60) -> None:
    """Press Tab until the control has the focus."""
    control.wait_for()
    for _ in range(most):
        if control.evaluate("(element) => element === document.activeElement"):
            break
        board.page.keyboard.press("Tab")
    else:
        raise AssertionError(f"{control} is not reached by {most} times Tab")
    expect(control).to_be_in_viewport()
    assert control.evaluate(_RINGED), f"{control} does not show that it has the focus"


_RINGED = """(element) => [element, element.closest("label"), element.parentElement].some((one) => {
    const style = one && getComputedStyle(one)
    return style && (style.outlineStyle !== "none" || style.boxShadow !== "none")
})"""
