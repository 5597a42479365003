"""The dashboard's pages and files.

A page is the same for every caller of one scope: its frame is made here, once, and its scripts fill
it from the API, which decides what the caller may see and do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from quart import Quart, Response
from quart_schema import hide

from backy_core.api.auth import caller_of
from backy_core.api.content import Content
from backy_core.api.errors import Unauthorized
from backy_core.api.replies import agent, current_request
from backy_core.api.scopes import needs
from backy_core.api.sessions import sessions
from backy_core.api.static_replies import StaticFiles, StaticReply
from backy_core.store.keys import Scope
from backy_core.web.rendering import page, words_module

SIGN_IN = "sign-in"
PAGES = {
    "/": "overview",
    "/drives": "drives",
    "/create": "create",
    "/import": "import",
    "/pools/<guid>": "pool",
}
"""Names of pages by their paths."""
FILES = "/web"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
"""Of every page and file. `no-cache`: kept by browsers, and asked for again by its tag."""


def add_pages(app: Quart) -> None:
    """Serve the dashboard from the root of ``app``."""
    for path, name in PAGES.items():
        _add(app, path, f"page_{name}", _page_view(name))
    files = StaticFiles(Path(__file__).parent / "static", HEADERS)
    words = StaticReply(lambda: _content(words_module(), "text/javascript"))

    async def get_file(filename: str) -> Response:
        return await (words() if filename == "words.js" else files(filename))

    _add(app, f"{FILES}/<filename>", "page_file", get_file)


def _add(app: Quart, path: str, endpoint: str, view: Callable[..., Awaitable[Response]]) -> None:
    app.add_url_rule(path, endpoint, hide(needs(None)(view)), methods=["GET"])


def _page_view(name: str) -> Callable[..., Awaitable[Response]]:
    """Whoever has not signed in gets the page to do so, at the same address."""
    frames = {scope: _frame(name, scope) for scope in Scope}
    sign_in = _frame(SIGN_IN, None)

    async def show(**_: str) -> Response:
        try:
            caller = caller_of(current_request(), agent().keys, sessions())
        except Unauthorized:
            return await sign_in()
        return await frames[caller.scope]()

    return show


def _frame(name: str, scope: Scope | None) -> StaticReply:
    return StaticReply(partial(_page_content, name, scope))


def _page_content(name: str, scope: Scope | None) -> Content:
    return _content(page(name, scope), "text/html; charset=utf-8")


def _content(text: str, media_type: str) -> Content:
    content = Content.of(text.encode(), media_type)
    content.headers.update(HEADERS)
    return content
