"""A tab and its measures tell what is wrong with a page; else the other tests could not fail."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Route

from .conftest import Open
from .measures import Transfer, stalls_while_scrolling, usable_after_ms
from .tab import Tab

_HEAD = '<!doctype html><html lang="en"><title>Page</title>'
_SOUND = f"{_HEAD}<main><h1>Page</h1><button>Mount</button></main>"


def _show(open_tab: Open, body: str, **headers: str) -> Tab:
    """A tab on this document, of a server that answers nothing else."""
    tab = open_tab("http://agent.test")

    def answer(route: Route) -> None:
        if route.request.url == "http://agent.test/":
            route.fulfill(body=body, content_type="text/html", headers=headers)
        else:
            route.fulfill(status=409)

    tab.page.route("**/*", answer)
    tab.page.goto("/")
    return tab


def test_a_sound_page_passes(open_tab: Open) -> None:
    tab = _show(open_tab, _SOUND)
    tab.check_accessible("as loaded")
    tab.check_fits()
    tab.check_quiet()


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("console.error('no such pool')", "no such pool"),
        ("throw new Error('undefined pool')", "undefined pool"),
        ("fetch('/refused')", "409"),
        ("document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\">')", "CSP"),
    ],
)
def test_errors_and_violations_are_complaints(open_tab: Open, script: str, told: str) -> None:
    policy = {"Content-Security-Policy": "style-src 'self'"}
    tab = _show(open_tab, f"{_SOUND}<script>{script}</script>", **policy)
    tab.page.wait_for_timeout(200)
    with pytest.raises(AssertionError, match=told):
        tab.check_quiet()
    tab.complaints.clear()


def test_an_expected_refusal_is_none(open_tab: Open) -> None:
    tab = _show(open_tab, _SOUND)
    tab.excuse("409")
    tab.page.evaluate("fetch('/refused')")
    tab.check_quiet()


def test_what_cannot_be_used_by_all_is_found(open_tab: Open) -> None:
    tab = _show(open_tab, f"{_HEAD}<main><h1>Page</h1><button></button></main>")
    with pytest.raises(AssertionError, match="button-name"):
        tab.check_accessible("as loaded")
    wide = _show(
        open_tab, f'{_SOUND}<p style="width: 3000px; margin: 0; position: absolute; left: 0">wide'
    )
    with pytest.raises(AssertionError, match="pixels"):
        wide.check_fits()


def test_a_stall_is_measured(open_tab: Open) -> None:
    busy = "const end = performance.now() + 500; while (performance.now() < end);"
    tall = f'{_SOUND}<p style="height: 3000px">tall'
    tab = _show(open_tab, f"{tall}<script>performance.mark('usable')</script>")
    assert stalls_while_scrolling(tab.page) == []
    assert 0 < usable_after_ms(tab.page) < 10_000
    tab.page.evaluate(f"addEventListener('scroll', () => {{ {busy} }})")
    assert stalls_while_scrolling(tab.page)


def test_what_comes_over_the_wire_is_counted(open_tab: Open, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(f'{_SOUND}<script src="script.js"></script>')
    (tmp_path / "script.js").write_text("//" + "x" * 4998)
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        tab = open_tab(f"http://127.0.0.1:{server.server_port}")
        tab.excuse("404")
        transfer = Transfer(tab.page)
        tab.page.goto("/")
        assert 5500 < transfer.total() < 6500
        names = {url.rpartition("/")[2] for url in transfer.urls.values()}
        assert names == {"", "script.js", "favicon.ico"}
        server.shutdown()
