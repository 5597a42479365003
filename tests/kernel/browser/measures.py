"""What a page costs: bytes on the wire, time until it can be used, stalls while it is scrolled."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

STALL_MS = 100
"""A task of the page longer than this is felt as a stall."""
_SETTLE_MS = 500
_RUNS = 3
_ENDLESS = 1 << 30
_USABLE = """() => new Promise((resolve) => {
    const told = () => performance.getEntriesByName("usable")[0]?.startTime
    const answered = performance.getEntriesByType("navigation")[0].responseStart
    const look = () => told() === undefined ? setTimeout(look, 5) : resolve(told() - answered)
    look()
})"""
_SCROLL = """(shortest) => new Promise((resolve) => {
    const stalls = []
    const observer = new PerformanceObserver((list) => {
        for (const task of list.getEntries())
            if (task.duration > shortest) stalls.push(Math.round(task.duration))
    })
    observer.observe({entryTypes: ["longtask"]})
    const page = document.scrollingElement
    const down = () => {
        if (page.scrollTop + innerHeight + 1 >= page.scrollHeight)
            return setTimeout(() => { observer.disconnect(); resolve(stalls) }, 200)
        page.scrollTop += innerHeight * 2
        requestAnimationFrame(down)
    }
    down()
})"""


class Transfer:
    """Counts what a page's requests bring over the wire, headers included.

    ``urls`` and ``sizes`` are of each request by its number. A stream is counted as it comes.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self.urls: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        session = page.context.new_cdp_session(page)
        session.on("Network.responseReceived", self._begins)
        session.on("Network.dataReceived", self._continues)
        session.on("Network.loadingFinished", self._ends)
        session.send("Network.enable")

    def total(self) -> int:
        """Bytes of all, once nothing more comes."""
        self._page.wait_for_timeout(_SETTLE_MS)
        return sum(self.sizes.values())

    def _begins(self, event: dict[str, Any]) -> None:
        request, response = str(event["requestId"]), event["response"]
        self.urls[request] = response["url"]
        self.sizes[request] = int(response["encodedDataLength"])

    def _continues(self, event: dict[str, Any]) -> None:
        request = str(event["requestId"])
        self.sizes[request] = self.sizes.get(request, 0) + int(event["encodedDataLength"])

    def _ends(self, event: dict[str, Any]) -> None:
        self.sizes[str(event["requestId"])] = int(event["encodedDataLength"])


def usable_after_ms(page: Page) -> float:
    """From the first byte of the page's answer until its script says that it can be used."""
    return float(page.evaluate(_USABLE))


def stalls_while_scrolling(page: Page) -> list[int]:
    """Milliseconds of each stall on the way from the top to the end, two windows a frame.

    The best of a few runs: what others do on this machine is not the page's stall.
    """
    stalls: list[int] = []
    for _ in range(_RUNS):
        page.evaluate("scrollTo(0, 0)")
        stalls = min(page.evaluate(_SCROLL, STALL_MS), stalls or [_ENDLESS], key=sum)
        if not stalls:
            break
    return stalls
