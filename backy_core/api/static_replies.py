"""Replies that are the same for every client: made once, then sent as bytes.

They need no key, so a request for one must cost next to nothing.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Callable
from pathlib import Path

from quart import Response
from werkzeug.exceptions import NotFound

from backy_core.api.content import Content, unless_known
from backy_core.system.threads import apart


class StaticReply:
    """One static reply. Its content is made in a thread, at the first request."""

    def __init__(self, make: Callable[[], Content]) -> None:
        self._make = make
        self._content: Content | None = None

    async def __call__(self) -> Response:
        """The reply, or 304 if the client already has it."""
        if self._content is None:
            self._content = await apart(self._make, "static content")
        return unless_known(self._content)


class StaticFiles:
    """The files below a folder, by their paths in it."""

    def __init__(self, folder: Path) -> None:
        self._replies = {
            str(path.relative_to(folder)): StaticReply(lambda path=path: _read(path))  # type: ignore[misc]
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    async def __call__(self, filename: str) -> Response:
        """Raises :class:`NotFound` for any other name."""
        if filename not in self._replies:
            raise NotFound
        return await self._replies[filename]()


def _read(path: Path) -> Content:
    media_type = mimetypes.guess_type(path.name)[0] or "text/plain"
    if media_type.startswith("text/"):
        media_type += "; charset=utf-8"
    return Content.of(path.read_bytes(), media_type)
