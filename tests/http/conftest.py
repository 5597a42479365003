"""An application over a fake agent, and clients for it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pytest
from quart import Quart

from backy_core.api.app import create_app
from backy_core.web.pages import add_pages
from tests.http.fake_agent import KEY, FakeAgent


@dataclass
class Answer:
    """A reply, decoded at once."""

    status: int
    headers: Any
    text: str
    sent: str
    """The request, to tell a leak from an echo."""

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def error(self) -> dict[str, str]:
        """The error, after checking that the envelope is one and that nothing leaks."""
        assert self.headers["Content-Type"] == "application/json"
        body = self.json
        assert set(body) <= {"error", "busy"}
        assert {"code", "message"} <= set(body["error"]) <= {"code", "message", "details"}
        for word in ("pydantic", "Traceback", "http:", "https:", "werkzeug"):
            assert word not in self.text or word in self.sent
        error: dict[str, str] = body["error"]
        return error


class Client:
    """Sends requests as the app does; every reply of 400 or more is held to the envelope."""

    def __init__(self, app: Quart, key: str | None = KEY) -> None:
        self._client = app.test_client()
        self._key = key

    async def __call__(self, method: str, path: str, **options: Any) -> Answer:
        headers = dict(options.pop("headers", {}))
        if self._key is not None:
            headers["X-Api-Key"] = self._key
        raw = path.partition("?")[0]
        # Quart's client keeps no raw path; servers do, and it is what tells %2F from a slash.
        scope = {"raw_path": raw.encode(), "path": unquote(raw)}
        reply = await self._client.open(
            path, method=method, headers=headers, scope_base=scope, **options
        )
        text = bytes(await reply.get_data(as_text=False)).decode()
        answer = Answer(reply.status_code, reply.headers, text, f"{path} {options}")
        if answer.status >= 400 and method != "HEAD":
            assert answer.error["message"]
        return answer

    async def get(self, path: str, **options: Any) -> Answer:
        return await self("GET", path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        return await self("POST", path, **_with_json(body, options))

    async def put(self, path: str, body: Any = None, **options: Any) -> Answer:
        return await self("PUT", path, **_with_json(body, options))

    async def patch(self, path: str, body: Any = None, **options: Any) -> Answer:
        return await self("PATCH", path, **_with_json(body, options))

    async def delete(self, path: str, **options: Any) -> Answer:
        return await self("DELETE", path, **options)


def _with_json(body: Any, options: dict[str, Any]) -> dict[str, Any]:
    return options if body is None else {**options, "json": body}


@pytest.fixture
async def agent() -> AsyncIterator[FakeAgent]:
    fake = FakeAgent()
    yield fake
    fake.pools.gate.set()
    await fake.operations.shutdown(5)


@pytest.fixture
def app(agent: FakeAgent) -> Quart:
    app = create_app(agent)
    add_pages(app)
    return app


@pytest.fixture
def client(app: Quart) -> Client:
    return Client(app)


@pytest.fixture
def stranger(app: Quart) -> Client:
    """A client without a key."""
    return Client(app, key=None)
