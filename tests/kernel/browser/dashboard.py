"""The dashboard as a person uses it: by what is written on it, never by how it is built."""

from __future__ import annotations

import re
from collections.abc import Iterable

from playwright.sync_api import Locator, Page, expect

from .tab import Tab


class Dashboard:
    """The pages of one agent in a tab."""

    def __init__(self, tab: Tab, key: str) -> None:
        self.tab = tab
        self.page: Page = tab.page
        self._key = key

    def sign_in(self, path: str = "/") -> None:
        """Open a page, which asks for the key first, and wait until it is live."""
        self.page.goto(path)
        self.give_key()

    def give_key(self) -> None:
        """Answer the page that asks for the key."""
        self.page.get_by_label("API key").fill(self._key)
        self.button("Sign in").click()
        self.until_live()

    def visit(self, path: str) -> None:
        """Open another page."""
        self.page.goto(path)
        self.until_live()

    def until_live(self) -> None:
        """Wait until the agent's events arrive."""
        expect(self.page.get_by_text("Live", exact=True)).to_be_visible()

    def check(self, state: str) -> None:
        """The page in this state can be used by all, and fits its window."""
        self.tab.check_accessible(state)
        self.tab.check_fits()

    def button(self, name: str | re.Pattern[str], within: Locator | None = None) -> Locator:
        """A button by what it says."""
        return (within or self.page).get_by_role("button", name=name, exact=isinstance(name, str))

    def card(self, label: str) -> Locator:
        """A pool on the overview."""
        return self.page.get_by_role("article", name=label, exact=True)

    def drive(self, serial: str) -> Locator:
        """A drive on the page of drives, or a member in a pool's bays."""
        return self.page.get_by_role("listitem").filter(has_text=serial)

    def dialog(self, title: str) -> Locator:
        """The open dialog, which must have this title."""
        dialog = self.page.get_by_role("dialog", name=title)
        expect(dialog).to_be_visible()
        return dialog

    def plan(self, label: str, serials: Iterable[str], level: str) -> None:
        """Fill in the page for a new pool up to its plan."""
        self.visit("/create")
        self.page.get_by_label("Label of the pool").fill(label)
        for serial in serials:
            self.page.get_by_role("checkbox", name=serial).check()
        self.page.get_by_role("radio", name=re.compile(rf"^{level}\b")).check()
        self.button("Show the plan").click()
        expect(self.page.get_by_role("heading", name="The plan")).to_be_visible()

    def create(self, label: str, serials: Iterable[str], level: str = "raid1") -> str:
        """Ask for a pool; its page is shown. Returns its GUID."""
        self.plan(label, serials, level)
        self.button("Create pool").click()
        self.page.wait_for_url("**/pools/*")
        self.until_live()
        return self.page.url.rpartition("/")[2]
