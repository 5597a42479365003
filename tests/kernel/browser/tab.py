"""A page in the browser as somebody uses it, and what it complains of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, ConsoleMessage, Page

BAD = frozenset({"serious", "critical"})
"""What axe-core calls findings that no page may have."""
REFUSED = "Failed to load resource"
"""How Chromium reports a request that was answered with an error, or not answered."""
_AXE = Axe()
_RULES = {"resultTypes": ["violations"]}
_VIOLATIONS = """
addEventListener("securitypolicyviolation", (violation) => console.error(
    `CSP: ${violation.effectiveDirective} blocked ${violation.blockedURI}`))
"""


class Tab:
    """One page of a context; `complaints` holds what went wrong in it so far."""

    def __init__(self, context: BrowserContext, url: str, *, traced: bool = False) -> None:
        self.url = url
        self.traced = traced
        self.complaints: list[str] = []
        self._excused: tuple[str, ...] = ()
        context.add_init_script(_VIOLATIONS)
        self.page: Page = context.new_page()
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))

    def excuse(self, *texts: str) -> None:
        """Expect failed requests whose report contains one of these (a status, an error of the
        network). A browser reports them whatever the page makes of them."""
        self._excused += texts

    def check_quiet(self) -> None:
        """Nothing was reported to the console as an error, and no policy was violated."""
        assert not self.complaints, "\n".join(self.complaints)

    def check_accessible(self, state: str) -> None:
        """axe finds nothing serious in the page as it is; `state` names it in the failure."""
        violations: list[dict[str, Any]] = _AXE.run(self.page, options=_RULES).response[
            "violations"
        ]
        worst = [
            (found["impact"], found["id"], [node["html"][:200] for node in found["nodes"]])
            for found in violations
            if found["impact"] in BAD
        ]
        assert not worst, f"{state}: {worst}"

    def check_fits(self) -> None:
        """The page fits its window in width."""
        wide, window = self.page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert wide <= window, f"{wide} pixels in a window of {window}"

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Write the visible part, or with `whole` the page to its end."""
        self.page.screenshot(path=path, full_page=whole, animations="disabled")

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type != "error":
            return
        text = f"{message.text} ({message.location['url']})"
        excused = REFUSED in text and any(each in text for each in self._excused)
        if not excused:
            self.complaints.append(text)
