"""The two sides of a read benchmark, each a process of its own: `python -m tests.bench.servers`.

`agent COUNT DIRECTORY` serves an agent with that many pools, `bytes FILE…` the files' contents
from a bare Quart route each. Both print their port and then serve until they are ended. The agent
also counts the processes it starts, and answers with their number at ``/bench/processes``.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from quart import Quart, Response

from backy_core.api.app import create_app
from backy_core.api.server.server import Server
from backy_core.cli.sockets import bind
from tests.bench.many_pools import agent_with

COUNT_PATH = "/bench/processes"
_STARTS = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec"})


def bare(bodies: list[bytes]) -> Quart:
    """``/0``, ``/1``…: each body as JSON, and nothing else."""
    app = Quart("bare")
    for number, body in enumerate(bodies):

        async def answer(body: bytes = body) -> Response:
            return Response(body, content_type="application/json")

        app.add_url_rule(f"/{number}", f"body{number}", answer)
    return app


def agent(count: int, directory: Path) -> Quart:
    app = create_app(agent_with(count, directory))
    app.asgi_app = _Counting(app.asgi_app)  # type: ignore[method-assign]
    return app


class _Counting:
    """Answers one path with the number of processes started since it was made.

    By Python's audit events, which every way to start one raises.
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
        if scope["type"] != "http" or scope["path"] != COUNT_PATH:
            await self._app(scope, receive, send)  # type: ignore[operator]
            return
        body = str(self._count).encode()
        head = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})


async def serve(app: Quart) -> None:
    """Serve as the agent's own command does, on any free port, until the process is ended."""
    listener = bind("127.0.0.1", 0)
    print(listener.getsockname()[1], flush=True)
    Server(app).listen(listener)
    await asyncio.Event().wait()


def main(kind: str, *rest: str) -> None:
    if kind == "agent":
        asyncio.run(serve(agent(int(rest[0]), Path(rest[1]))))
    else:
        asyncio.run(serve(bare([Path(name).read_bytes() for name in rest])))


if __name__ == "__main__":
    main(*sys.argv[1:])
