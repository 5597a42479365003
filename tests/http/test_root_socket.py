"""The socket that is root's alone: no key, no Host, and nobody else."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from quart import Quart

from backy_core.api.server.server import Server
from backy_core.cli.sockets import bind, socket_of_root

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
NOBODY = 65534
REQUEST = b"GET /api/v1/pools HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
async def path(app: Quart) -> AsyncIterator[Path]:
    """Of the socket, in a directory that everybody may enter."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        with socket_of_root(Path(directory, "backy.sock")) as listener:
            server = Server(app)
            server.listen_to_root(listener)
            yield Path(directory, "backy.sock")
            await server.close(1)


async def exchange(path: Path, head: str) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(f"{head}\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


def ask_as(uid: int, path: Path, times: int = 1) -> set[bytes]:
    """The different answers, or the names of errors. In a child: what is asked is who connects."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        os.write(writing, b"\0".join({_answer(path) for _ in range(times)}))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answers = pipe.read()
    os.waitpid(child, 0)
    return set(answers.split(b"\0"))


def _answer(path: Path) -> bytes:
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(REQUEST)
            return client.recv(4096)
    except OSError as error:
        return type(error).__name__.encode()


@pytest.mark.parametrize("host", ["localhost", "evil.example", "nas2:5151", ""])
async def test_root_needs_no_key_and_no_name(path: Path, host: str) -> None:
    answer = await exchange(path, f"GET /api/v1/pools HTTP/1.1\r\nHost: {host}")
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_wrong_key_does_not_matter_to_root(path: Path) -> None:
    head = "GET /api/v1/pools HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: wrong"
    assert (await exchange(path, head)).startswith(b"HTTP/1.1 200 ")


async def test_others_cannot_connect(path: Path) -> None:
    assert await asyncio.to_thread(ask_as, NOBODY, path) == {b"PermissionError"}


async def test_others_who_can_connect_are_refused(path: Path) -> None:
    """Somebody widened the mode, or handed the connection on."""
    path.chmod(0o666)
    [answer] = await asyncio.to_thread(ask_as, NOBODY, path, 100)
    assert answer.startswith(b"HTTP/1.1 403 ") and b"FORBIDDEN" in answer
    [answer] = await asyncio.to_thread(ask_as, 0, path)
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_at_every_other_socket_root_needs_the_key(app: Quart, tmp_path: Path) -> None:
    server = Server(app)
    with bind("127.0.0.1", 0) as tcp, socket.socket(socket.AF_UNIX) as of_a_group:
        of_a_group.bind(str(tmp_path / "agent.sock"))
        server.listen(tcp, of_a_group)
        answer = await exchange(
            tmp_path / "agent.sock", "GET /api/v1/pools HTTP/1.1\r\nHost: localhost"
        )
        assert answer.startswith(b"HTTP/1.1 401 ")
        await server.close(1)


async def test_what_a_client_sends_does_not_make_it_root(app: Quart, tmp_path: Path) -> None:
    """The kernel says who it is; no header does."""
    server = Server(app)
    with bind("127.0.0.1", 0) as tcp:
        server.listen(tcp)
        reader, writer = await asyncio.open_connection(*tcp.getsockname())
        writer.write(
            b"GET /api/v1/pools HTTP/1.1\r\nHost: localhost\r\nbacky.peer: 0\r\n"
            b"Connection: close\r\n\r\n"
        )
        assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 401 ")
        writer.close()
        await server.close(1)
