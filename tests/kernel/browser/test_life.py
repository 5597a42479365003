"""A pool's life at the controls: only the dashboard changes it."""

from __future__ import annotations

from playwright.sync_api import expect

from ..http.backends import MDADM, Backend
from ..http.site import Site
from ..http.tools import held_maker, occupy
from ..lab.drives import numbered
from .conftest import Open
from .dashboard import Dashboard
from .tab import Tab

BACKENDS = [MDADM]
DRIVES = numbered(2, 64 << 20)
ONE, TWO = (drive.serial for drive in DRIVES)


def test_a_life(site: Site, backend: Backend, tab: Tab, open_tab: Open) -> None:
    """Created with progress, unmounted, mounted and deleted, while another browser looks on."""
    here = Dashboard(tab, site.guest.api_key)
    there = Dashboard(open_tab(site.guest.url), site.guest.api_key)
    here.page.goto("/")
    here.check("sign-in")
    here.give_key()
    here.check("no pools")
    there.sign_in()

    with held_maker(site, backend) as maker:
        guid = here.create("photos", [ONE, TWO])
        maker.began()
        expect(here.page.get_by_role("progressbar").first).to_be_visible()
        expect(here.page.get_by_text("Creating").first).to_be_visible()
        expect(here.button("Delete")).to_have_count(0)
        expect(here.page.get_by_role("log")).to_contain_text("mdadm --create")
        here.check("creating")
        expect(there.card("photos")).to_contain_text("Creating")
        there.check("creating elsewhere")
        maker.go()
    expect(here.page.get_by_text("Mounted", exact=True)).to_be_visible()
    expect(there.card("photos")).to_contain_text("Mounted")
    expect(here.drive(ONE)).to_contain_text("photos-1")
    here.check("mounted")
    there.check("mounted elsewhere")

    there.button("Unmount", there.card("photos")).click()
    expect(here.page.get_by_text("Unmounted", exact=True)).to_be_visible()
    expect(there.card("photos")).to_contain_text("Unmounted")
    here.check("unmounted")
    here.button("Mount").click()
    expect(there.card("photos")).to_contain_text("Mounted")

    _rename(here, "photos", "pictures")
    expect(there.card("pictures")).to_be_visible()
    _delete(here, "pictures")
    expect(there.card("pictures")).to_have_count(0)
    assert site.call("GET", f"/pools/{guid}").json()["state"] == "deleted"
    site.check_clean([ONE, TWO])


def _rename(board: Dashboard, before: str, after: str) -> None:
    board.button("Rename").click()
    dialog = board.dialog(f"Rename {before}")
    board.check("rename")
    dialog.get_by_label("Label of the pool").fill(after)
    board.button("Rename", dialog).click()
    expect(board.page.get_by_role("heading", name=after, exact=True)).to_be_visible()


def _delete(board: Dashboard, label: str) -> None:
    """By typing its label, and nothing less."""
    board.button("Delete").click()
    dialog = board.dialog(f"Delete {label}")
    confirm = board.button("Delete", dialog)
    expect(confirm).to_be_disabled()
    expect(dialog).to_contain_text(ONE)
    board.check("delete")
    dialog.get_by_label(f"Type {label} to confirm").press_sequentially(label[:-1])
    expect(confirm).to_be_disabled()
    dialog.get_by_label(f"Type {label} to confirm").press_sequentially(label[-1])
    confirm.click()
    expect(board.page.get_by_role("heading", name="Overview")).to_be_visible()


def test_a_busy_pool(site: Site, backend: Backend, tab: Tab) -> None:
    """The dialog names its processes and ends them on request, or waits for them."""
    pool = site.made(ONE, TWO, **backend.options(), label="music")
    board = Dashboard(tab, site.guest.api_key)
    board.sign_in()
    tab.excuse("409")  # the refusal that opens the dialog

    first = occupy(pool)
    board.button("Unmount", board.card("music")).click()
    dialog = board.dialog("music is in use")
    expect(dialog.get_by_role("row").filter(has_text=str(first))).to_contain_text("sleep")
    board.check("in use")
    board.button("Wait until they end by themselves", dialog).click()
    site.output(f"kill {first}")
    expect(board.card("music")).to_contain_text("Unmounted")
    expect(dialog).to_have_count(0)

    board.button("Mount", board.card("music")).click()
    expect(board.card("music")).to_contain_text("Mounted")
    second = occupy(pool)
    board.button("Unmount", board.card("music")).click()
    dialog = board.dialog("music is in use")
    expect(dialog.get_by_role("row").filter(has_text=str(second))).to_be_visible()
    board.button("End them and unmount", dialog).click()
    expect(board.card("music")).to_contain_text("Unmounted")
    assert site.run(f"kill -0 {second}").rc == 1


def test_a_key_that_may_only_look(site: Site, backend: Backend, tab: Tab) -> None:
    """It sees everything and is offered nothing."""
    site.made(ONE, TWO, **backend.options(), label="films")
    made = site.call("POST", "/keys", {"name": "visitor", "scope": "read"})
    assert made.status_code == 200, made.text
    board = Dashboard(tab, made.json()["secret"])
    board.sign_in()
    offered = {"Sign out"}
    expect(board.card("films")).to_contain_text("Mounted")
    assert _buttons(board) == offered
    board.check("read only")
    board.card("films").get_by_role("link", name="films").click()
    expect(board.page.get_by_role("heading", name="films")).to_be_visible()
    assert _buttons(board) == offered
    board.visit("/drives")
    board.drive(ONE).get_by_text(ONE).first.click()
    assert _buttons(board) == offered
    board.button("Sign out").click()
    expect(board.page.get_by_label("API key")).to_be_visible()
    assert site.call("DELETE", "/keys/visitor").status_code == 200


def _buttons(board: Dashboard) -> set[str]:
    return set(board.page.get_by_role("button").all_inner_texts())


def test_an_agent_that_is_killed_in_mid_create(site: Site, backend: Backend, tab: Tab) -> None:
    """The page says that it lost the agent, finds it again, and tells what became of the pool."""
    tab.excuse("net::ERR_", "401")
    board = Dashboard(tab, site.guest.api_key)
    board.sign_in()
    with held_maker(site, backend) as maker:
        board.create("half", [ONE, TWO])
        maker.began()
        site.guest.agent("kill")
        expect(board.page.get_by_role("alert").filter(has_text="cannot be reached")).to_be_visible()
        board.check("connection lost")
        maker.go()
        site.guest.agent("start")
        board.give_key()  # sessions end with the agent
    expect(board.page.get_by_text("Creation failed")).to_be_visible()
    board.check("creation failed")
    board.button("Forget this attempt").click()
    expect(board.page.get_by_role("heading", name="Overview")).to_be_visible()
    site.check_clean([ONE, TWO])
