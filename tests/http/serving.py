"""A fake agent behind the real server, as a process of its own: `python -m tests.http.serving`.

Prints its port, then answers each line on standard input with what it costs: resident bytes, open
descriptors, and the longest gap of its event loop since the line before.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from pathlib import Path

from backy_core.api.app import create_app
from backy_core.api.auth import bears_key
from backy_core.api.server.limits import Limits
from backy_core.api.server.server import Server
from backy_core.api.sessions import EXTENSION as SESSIONS
from backy_core.cli.sockets import bind
from backy_core.web.pages import add_pages
from tests.http.fake_agent import FakeAgent
from tests.http.watchdog import LoopWatch


def cost(watch: LoopWatch) -> dict[str, float]:
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    gap, watch.longest_s = watch.longest_s, 0.0
    return {"resident": resident, "descriptors": len(os.listdir("/proc/self/fd")), "gap": gap}


async def main(limits: str) -> None:
    listener = bind("127.0.0.1", 0)
    agent = FakeAgent()
    app = create_app(agent)
    add_pages(app)
    server = Server(
        app,
        Limits(**json.loads(limits)),
        trusts=lambda fields: bears_key(fields, agent.keys, app.extensions[SESSIONS]),
    )
    port = listener.getsockname()[1]
    server.listen(listener)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    with LoopWatch() as watch:
        print(port, flush=True)
        while await lines.readline():
            print(json.dumps(cost(watch)), flush=True)
    await server.close(1)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
