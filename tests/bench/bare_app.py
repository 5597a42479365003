"""The least cost of an agent on the same libraries: the libraries, one route, a server.

`python -m tests.bench.bare_app hypercorn|own PORT`; ``own`` is the agent's server.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from datetime import UTC, datetime

import pluggy
import pydantic
import pyudev
import quart_schema
from quart import Quart

LIBRARIES = (pluggy, pydantic, pyudev, quart_schema)

app = Quart("bare")


@app.get("/api/v1/status")
async def status() -> dict[str, str]:
    return {"status": "Running", "version": "0", "timestamp": datetime.now(UTC).isoformat()}


async def on_hypercorn(port: str) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.accesslog = None
    config.errorlog = None
    await serve(app, config)


async def on_own(port: str) -> None:
    from backy_core.api.server.server import Server

    Server(app).listen(socket.create_server(("127.0.0.1", int(port))))
    await asyncio.Event().wait()


def main(server: str, port: str) -> None:
    asyncio.run({"hypercorn": on_hypercorn, "own": on_own}[server](port))


if __name__ == "__main__":
    main(*sys.argv[1:])
