"""Troubles with drives, as the dashboard tells them, and the way out that it offers."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from ..http.backends import MDADM, Backend
from ..http.site import Site
from ..http.tools import held_maker
from ..lab.drives import Drive
from .dashboard import Dashboard
from .tab import Tab

BACKENDS = [MDADM]
DRIVES = [
    Drive("faulty", 64 << 20, faults=True),
    *(Drive(f"drive-{number}", 64 << 20) for number in (1, 2, 3)),
]
ONE, TWO, THREE = (drive.serial for drive in DRIVES[1:])


def test_a_drive_that_fails_while_the_pool_is_made(site: Site, backend: Backend, tab: Tab) -> None:
    board = Dashboard(tab, site.guest.api_key)
    board.sign_in()
    with held_maker(site, backend) as maker:
        board.create("hopeless", ["faulty"], backend.single)
        maker.began()
        site.guest.fault("faulty", "write-error")
        maker.go()
        expect(board.page.get_by_role("log")).to_contain_text("Input/output error")
        site.guest.fault("faulty", "none")  # a roll-back that fails takes its time
        expect(board.page.get_by_text("Creation failed")).to_be_visible()
    board.check("creation failed")
    board.visit("/drives")
    board.check("drives after a failure")
    board.visit("/")
    expect(board.card("hopeless")).to_contain_text("Creation failed")
    board.button("Forget this attempt", board.card("hopeless")).click()
    expect(board.card("hopeless")).to_have_count(0)


def test_a_member_that_breaks_is_replaced(site: Site, backend: Backend, tab: Tab) -> None:
    pool = site.made(ONE, TWO, **backend.options(), label="vault")
    pool.until_health("active")
    board = Dashboard(tab, site.guest.api_key)
    board.sign_in()
    site.output(f"mdadm --quiet /dev/{pool.detail()['mdDeviceName']} --fail {site.node(TWO)}")
    card = board.card("vault")
    expect(card).to_contain_text("Degraded")
    board.check("degraded")
    backend.slow_sync(site)
    board.button(re.compile(f"Replace .*{TWO}"), card).click()
    dialog = board.dialog("Add a drive to vault")
    board.check("replace")
    dialog.get_by_label("Drive", exact=True).select_option(THREE)
    board.button("Add drive", dialog).click()
    expect(card).to_contain_text("Rebuilding")
    expect(card.get_by_role("progressbar", name="Rebuilding")).to_be_visible()
    board.check("rebuilding")
    backend.full_sync(site)
    expect(card).to_contain_text("Healthy")
    expect(board.button("Unmount", card)).to_be_visible()
    assert pool.members()[THREE] == "active"
    site.done("DELETE", f"{pool.url}?wipeCopies={TWO}")


def test_drives_that_are_pulled_and_come_back(site: Site, backend: Backend, tab: Tab) -> None:
    """Shelved pools stay on the page, with their drives, and can be mounted again."""
    pool = site.made(ONE, TWO, **backend.options(), label="archive")
    board = Dashboard(tab, site.guest.api_key)
    board.sign_in()
    board.button("Unmount", board.card("archive")).click()
    expect(board.card("archive")).to_contain_text("Unmounted")
    site.guest.unplug(ONE)
    site.guest.unplug(TWO)
    shelf = board.page.get_by_role("region", name="On the shelf")
    expect(shelf.get_by_role("article", name="archive")).to_be_visible()
    expect(board.button("Mount", board.card("archive"))).to_have_count(0)
    board.check("on the shelf")
    board.visit("/drives")
    board.page.get_by_role("radio", name="Not plugged in").check()
    expect(board.drive(ONE)).to_contain_text("archive")
    board.check("absent drives")
    board.visit("/")
    site.guest.plug(ONE)
    site.guest.plug(TWO)
    board.button("Mount", board.card("archive")).click()
    expect(board.card("archive")).to_contain_text("Mounted")
    pool.check_ready()
