"""Replies that are the same for every client: made once, then sent as bytes.

They need no key, so a request for one must cost next to nothing.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from quart import Response
from werkzeug.exceptions import NotFound

from backy_core.api.content import Content, unless_known
from backy_core.api.replies import current_request
from backy_core.system.threads import apart


class StaticReply:
    """One static reply. Its content is made in a thread, at the first request."""

    def __init__(self, make: Callable[[], Content]) -> None:
        self._make = make
        self._contents: tuple[Content, Content] | None = None

    async def __call__(self) -> Response:
        """The reply, compressed for clients that take that, or 304 if the client already has it."""
        if self._contents is None:
            self._contents = await apart(self._both, "static content")
        plain, squeezed = self._contents
        takes_gzip = "gzip" in current_request().accept_encodings.values()
        return unless_known(squeezed if takes_gzip else plain)

    def _both(self) -> tuple[Content, Content]:
        plain = self._make()
        plain.headers["Vary"] = "Accept-Encoding"
        return plain, plain.squeezed()


class StaticFiles:
    """The files below a folder, by their paths in it."""

    def __init__(self, folder: Path, headers: Mapping[str, str] | None = None) -> None:
        """``headers`` are sent with each of them."""
        more = headers or {}
        self._replies = {
            str(path.relative_to(folder)): StaticReply(partial(_read, path, more))
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    async def __call__(self, filename: str) -> Response:
        """Raises :class:`NotFound` for any other name."""
        if filename not in self._replies:
            raise NotFound
        return await self._replies[filename]()


def _read(path: Path, headers: Mapping[str, str]) -> Content:
    media_type = mimetypes.guess_type(path.name)[0] or "text/plain"
    if media_type.startswith("text/"):
        media_type += "; charset=utf-8"
    content = Content.of(path.read_bytes(), media_type)
    content.headers.update(headers)
    return content
