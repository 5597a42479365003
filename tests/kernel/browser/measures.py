"""Costs of a page: bytes on the wire, time until it can be used, stalls while it is scrolled."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from playwright.sync_api import CDPSession, Page

STALL_MS = 100
"""A step of scrolling that costs the page more than this is felt as a stall."""
_SETTLE_MS = 500
_NEVER_MS = 30_000
_USABLE = """(most) => new Promise((resolve, reject) => {
    const told = () => performance.getEntriesByName("usable")[0]?.startTime
    const answered = performance.getEntriesByType("navigation")[0].responseStart
    const look = () => told() === undefined ? setTimeout(look, 5) : resolve(told() - answered)
    look()
    setTimeout(() => reject(new Error("no mark says that the page is usable")), most)
})"""
_STEP = """() => new Promise((drawn) => {
    const page = document.scrollingElement
    page.scrollTop += innerHeight / 2
    requestAnimationFrame(() => requestAnimationFrame(() =>
        drawn(page.scrollTop + innerHeight + 1 < page.scrollHeight)))
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
    return float(page.evaluate(_USABLE, _NEVER_MS))


def stalls_while_scrolling(page: Page, most_steps: int = 60) -> list[int]:
    """Milliseconds of each stall on the way down, half a window at a time.

    It is the time that the page's thread has the processor, whatever else runs on this machine.
    """
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.evaluate("scrollTo(0, 0)")
    spent = [_spent_ms(session)]
    while page.evaluate(_STEP) and len(spent) <= most_steps:
        spent.append(_spent_ms(session))
    spent.append(_spent_ms(session))
    costs = [round(after - before) for before, after in pairwise(spent)]
    return [cost for cost in costs if cost > STALL_MS]


def _spent_ms(session: CDPSession) -> float:
    metrics = session.send("Performance.getMetrics")["metrics"]
    [seconds] = [metric["value"] for metric in metrics if metric["name"] == "TaskDuration"]
    return float(seconds) * 1000
