"""An application over a fake agent, and clients for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from quart import Quart

from backy_core.api.app import create_app
from backy_core.api.server.server import Server
from backy_core.cli.main import main
from backy_core.cli.sockets import socket_of_root
from backy_core.web.pages import add_pages
from tests.http.fake_agent import KEY, FakeAgent

Run = Callable[..., Coroutine[Any, Any, tuple[int, str, str]]]
"""Runs ``backy``: its status, output and errors. ``typed`` is what somebody types."""
DRIVE = "0x5000c500a1b2c3d4"


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


class Terminal(StringIO):
    """Standard input with somebody who types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
async def backy(
    app: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Any:
    for name in ("BACKY_URL", "BACKY_API_KEY", "BACKY_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BACKY_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "80")
    server = Server(app)
    with socket_of_root(tmp_path / "backy.sock") as listener:
        server.listen_to_root(listener)

        async def run(*words: str, typed: str | None = None) -> tuple[int, str, str]:
            monkeypatch.setattr("sys.stdin", StringIO() if typed is None else Terminal(typed))
            status = await asyncio.to_thread(main, list(words))
            printed = capsys.readouterr()
            return status, printed.out, printed.err

        yield run
        await server.close(1)
