"""The least cost of an agent on the same libraries: the libraries, one route, hypercorn.

`python -m tests.bench.bare_app PORT`.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime

import pluggy
import pydantic
import pyudev
import quart_schema
from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart import Quart

LIBRARIES = (pluggy, pydantic, pyudev, quart_schema)

app = Quart("bare")


@app.get("/api/v1/status")
async def status() -> dict[str, str]:
    return {"status": "Running", "version": "0", "timestamp": datetime.now(UTC).isoformat()}


def main(port: str) -> None:
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.accesslog = None
    config.errorlog = None
    asyncio.run(serve(app, config))


if __name__ == "__main__":
    main(*sys.argv[1:])
