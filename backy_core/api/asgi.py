"""From the HTTP server to the application, by as few tasks as will do."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from quart import Request, Response
from quart.asgi import ASGIHTTPConnection
from quart.utils import cancel_tasks, encode_headers, raise_task_exceptions
from quart.wrappers.response import DataBody

from backy_core.api.server.streams import MESSAGE as STREAM
from backy_core.api.server.streams import Feed

_WITHOUT_BODY = frozenset({"GET", "HEAD"})
_BODY_FIELDS = frozenset({b"content-length", b"transfer-encoding"})


class Streamed(Response):
    """A reply without an end. The server sends what ``feed`` gives it, after this task."""

    def __init__(self, feed: Feed, media_type: str) -> None:
        # proxies would hold events back
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(b"", 200, headers, content_type=media_type)
        del self.headers["Content-Length"]
        self.feed = feed


class HttpConnection(ASGIHTTPConnection):
    """Answers a read in the task that it came in.

    Quart starts three for each request, to receive its body and to notice that the client left,
    which takes a third of the whole time. A read has no body, and ends soon by itself.
    """

    async def __call__(self, receive: Any, send: Any) -> None:
        if not self._reads:
            await super().__call__(receive, send)
        elif (await receive())["type"] == "http.request":
            request = self._create_request_from_scope(send)
            request.body.set_complete()
            response: Any = await self.app.handle_request(request)
            if isinstance(response, Streamed):
                await self._send_response(send, response)
            elif isinstance(response.response, DataBody):
                await self._answer(response, response.response.data, send)
            else:
                await self._stream(request, response, receive, send)

    @property
    def _reads(self) -> bool:
        scope = self.scope
        return scope["method"] in _WITHOUT_BODY and _BODY_FIELDS.isdisjoint(
            name for name, _ in scope["headers"]
        )

    async def _answer(self, response: Response, body: bytes, send: Any) -> None:
        """The whole reply in one message, and not for longer than Quart would take."""
        headers = encode_headers(response.headers)
        start = {"type": "http.response.start", "status": response.status_code, "headers": headers}
        with suppress(TimeoutError):
            async with asyncio.timeout(self.app.config["RESPONSE_TIMEOUT"]):
                await send(start)
                await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _send_response(self, send: Any, response: Any) -> None:
        if not isinstance(response, Streamed):
            await super()._send_response(send, response)
            return
        headers = encode_headers(response.headers)
        start = {"type": "http.response.start", "status": response.status_code, "headers": headers}
        await send(start)
        await send({"type": STREAM, "feed": response.feed})

    async def _stream(self, request: Request, response: Response, receive: Any, send: Any) -> None:
        """Part by part, until the client leaves."""
        work = (self._send_response(send, response), self.handle_messages(request, receive))
        tasks = [asyncio.ensure_future(task) for task in work]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await cancel_tasks(pending)
        raise_task_exceptions(done)
