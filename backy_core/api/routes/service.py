"""The agent itself: whether it runs, and the page that shows its interface."""

from __future__ import annotations

from pathlib import Path

from quart import Response, current_app

from backy_core.api.replies import agent, reply
from backy_core.api.routing import BASE_PATH, Routes, endpoint
from backy_core.api.static_replies import StaticFiles
from backy_core.api.wire.operations import HealthReply, StatusReply

routes = Routes()
_files = StaticFiles(Path(__file__).parents[1] / "static")


@endpoint(routes, "GET", f"{BASE_PATH}/status", scope=None, replies={200: StatusReply})
async def get_status() -> Response:
    """Say that the agent runs, and which version. Needs no key."""
    version: str = current_app.config["BACKY_VERSION"]
    return reply(StatusReply(version=version, timestamp=agent().clock.now()))


@endpoint(routes, "GET", "/health", scope=None, replies={200: HealthReply})
async def get_health() -> Response:
    """Answer, for those who watch the service. Needs no key."""
    return reply(HealthReply())


@routes.get("/docs", scope=None)
async def show_viewer() -> Response:
    """The interactive view of the OpenAPI document, with no file from elsewhere."""
    return await _files("viewer.html")


@routes.get("/docs/static/<path:filename>", scope=None)
async def get_file(filename: str) -> Response:
    """The view's static files."""
    return await _files(filename)
