"""The two sides of a read benchmark, each a process of its own: `python -m tests.bench.servers`.

`agent COUNT DIRECTORY CHANGE_S` serves an agent with that many pools, of which one changes every
so many seconds (0: none ever), `bytes FILE…` the files' contents from a bare Quart route each.
Both print their port and then serve until they are ended. The agent also answers at
``/bench/processes`` with the number of processes it has started, and at ``/bench/resident`` with
the KiB it holds.
"""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from quart import Quart, Response

from backy_core.api.app import create_app
from backy_core.api.auth import bears_key
from backy_core.api.server.connection import Fields
from backy_core.api.server.server import Server
from backy_core.api.sessions import EXTENSION as SESSIONS
from backy_core.cli.sockets import bind
from backy_core.runtime import Runtime
from backy_core.web.pages import add_pages
from tests.bench.machine import resident_kib
from tests.bench.many_pools import agent_with, change_one

COUNT_PATH = "/bench/processes"
RESIDENT_PATH = "/bench/resident"
_STARTS = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec"})


def bare(bodies: list[bytes]) -> Quart:
    """``/0``, ``/1``…: each body as JSON, and nothing else."""
    app = Quart("bare")
    for number, body in enumerate(bodies):

        async def answer(body: bytes = body) -> Response:
            return Response(body, content_type="application/json")

        app.add_url_rule(f"/{number}", f"body{number}", answer)
    return app


def observed(agent: Runtime) -> Quart:
    app = create_app(agent)
    add_pages(app)
    app.asgi_app = _Observed(app.asgi_app)  # type: ignore[method-assign]
    return app


class _Observed:
    """Answers two paths with the number of processes started since it was made, by Python's audit
    events, which every way to start one raises, and with the process's size.
    """

    def __init__(self, app: object) -> None:
        self._app = app
        self._count = 0
        sys.addaudithook(self._heard)
        subprocess.run(["/bin/true"], check=True)
        if self._count == 0:
            raise RuntimeError("a process was started and not counted")
        self._count = 0

    def _heard(self, event: str, _: object) -> None:
        self._count += event in _STARTS

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        if not scope["path"].startswith("/bench/"):
            await self._app(scope, receive, send)  # type: ignore[operator]
            return
        number = self._count if scope["path"] == COUNT_PATH else resident_kib("self")
        body = str(number).encode()
        head = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})


async def serve(
    app: Quart,
    trusts: Callable[[Fields], bool] = lambda _: True,
    beside: Callable[[], object] = lambda: None,
    every_s: float = 0,
) -> None:
    """Serve as the agent's own command does, on any free port, until the process is ended.

    Everybody is trusted unless ``trusts`` says otherwise: the server slows strangers down.
    """
    listener = bind("127.0.0.1", 0)
    print(listener.getsockname()[1], flush=True)
    gc.freeze()
    Server(app, trusts=trusts).listen(listener)
    while every_s:
        await asyncio.sleep(every_s)
        beside()
    await asyncio.Event().wait()


def main(kind: str, *rest: str) -> None:
    if kind == "agent":
        agent = agent_with(int(rest[0]), Path(rest[1]))
        app = observed(agent)
        asyncio.run(
            serve(
                app,
                lambda fields: bears_key(fields, agent.keys, app.extensions[SESSIONS]),
                lambda: change_one(agent),
                float(rest[2]),
            )
        )
    else:
        asyncio.run(serve(bare([Path(name).read_bytes() for name in rest])))


if __name__ == "__main__":
    main(*sys.argv[1:])
