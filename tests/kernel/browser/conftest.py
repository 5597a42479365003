"""A module's guest, as for the tests over HTTP, and a browser for it.

Playwright's own plugin keeps a browser, and with it a running event loop, until the worker ends;
asynchronous tests of the same worker could not run. Here both end with the module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from ..availability import required
from ..http.conftest import (  # noqa: F401 the same guests, clean-up and reports
    backend,
    failed,
    guests,
    pytest_generate_tests,
    pytest_runtest_makereport,
    site,
)
from ..http.site import Site
from .tab import Tab

CHROMIUM = Path("/usr/bin/chromium")
PATIENCE_MS = 60_000
"""How long anything may take to be seen; nothing waits that long but a failure."""

expect.set_options(timeout=PATIENCE_MS)

Open = Callable[..., Tab]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium."""
    if not CHROMIUM.exists():
        why = "The lab needs Debian packages: apt-get install -y chromium."
        pytest.fail(why) if required() else pytest.skip(why)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def open_tab(request: pytest.FixtureRequest, chromium: Browser) -> Iterator[Open]:
    """`open_tab(url, **options)` is a tab of a browser of its own: no cookie is shared.

    The options are those of a Playwright context. A failure leaves a picture and a trace of each;
    with `traced=False`, where time is measured, only the picture. At the end no tab may have
    reported an error.
    """
    tabs: list[Tab] = []

    def open_one(url: str, *, traced: bool = True, **options: Any) -> Tab:
        context = chromium.new_context(base_url=url, **options)
        context.set_default_timeout(PATIENCE_MS)
        if traced:
            context.tracing.start(snapshots=True)
        tabs.append(Tab(context, url, traced=traced))
        return tabs[-1]

    yield open_one
    broken = request.node.stash.get(failed, False) or any(tab.complaints for tab in tabs)
    for number, tab in enumerate(tabs):
        _close(tab, _kept(request, number) if broken else None)
    for tab in tabs:
        tab.check_quiet()


@pytest.fixture
def tab(site: Site, open_tab: Open) -> Tab:  # noqa: F811 the fixture of that name
    """A tab on the guest's agent."""
    return open_tab(site.guest.url)


def _kept(request: pytest.FixtureRequest, number: int) -> Path:
    """The path of a failed test's picture and trace, which its report names."""
    folder = request.config.cache.mkdir("browser")
    kept = folder / f"{request.node.name.replace('/', '_')}-{number}"
    request.node.add_report_section("teardown", "browser", f"see {kept}.png, .zip")
    return kept


def _close(tab: Tab, kept: Path | None) -> None:
    context = tab.page.context
    if kept is not None:
        tab.picture(kept.with_suffix(".png"))
    if tab.traced:
        context.tracing.stop(path=kept.with_suffix(".zip") if kept else None)
    context.close()
