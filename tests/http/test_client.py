"""The client, both faces, against the real server: what is sent, what is read, how it fails."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from quart import Quart

from backy_core.api.server.server import Server
from backy_core.cli.sockets import bind, socket_of_root
from backy_core.client import calls
from backy_core.client.address import Address, at_socket, parse
from backy_core.client.aio import AsyncClient
from backy_core.client.calls import Call
from backy_core.client.errors import UNREADABLE, ApiError, Unreachable
from backy_core.client.exchange import Answer, Exchange
from backy_core.client.patience import pauses
from backy_core.client.sync import Client
from tests.http.fake_agent import KEY, FakeAgent
from tests.http.fake_pools import GUID, standing_pool

T = TypeVar("T")
Ask = Callable[[Call[Any]], Awaitable[Answer[Any]]]


@pytest.fixture(params=["tcp", "unix"])
async def address(request: Any, app: Quart, tmp_path: Path) -> AsyncIterator[Address]:
    server = Server(app)
    with bind("127.0.0.1", 0) as tcp, socket_of_root(tmp_path / "s") as local:
        server.listen(tcp)
        server.listen_to_root(local)
        port = tcp.getsockname()[1]
        yield Address("127.0.0.1", port) if request.param == "tcp" else at_socket(f"{tmp_path}/s")
        await server.close(1)


@pytest.fixture(params=["sync", "async"])
def ask(request: Any, address: Address) -> Ask:
    key = "" if address.path else KEY
    if request.param == "async":
        return AsyncClient(address, key).ask
    return lambda call: asyncio.to_thread(Client(address, key).ask, call)


async def test_a_pool_is_made_and_listed(ask: Ask) -> None:
    accepted = await ask(calls.create_pool("backup-1", ["drive-scsi1", "drive-scsi2"], guid=GUID))
    assert accepted.body == {"success": True, "poolGroupGuid": GUID, "state": "creating"}
    assert (await ask(calls.show_operation(accepted.operation))).body["kind"] == "create"
    [pool] = (await ask(calls.list_pools())).body
    assert (pool["poolGroupGuid"], pool["label"]) == (GUID, "backup-1")


async def test_an_error_has_code_message_and_details(ask: Ask) -> None:
    with pytest.raises(ApiError) as caught:
        await ask(calls.show_pool(GUID))
    assert (caught.value.status, caught.value.code) == (404, "NOT_FOUND")
    assert caught.value.message == f"There is no pool {GUID}"
    assert caught.value.hint is None


async def test_a_mount_is_asked_about_as_the_app_does(ask: Ask, agent: FakeAgent) -> None:
    pool = agent.pools.add(standing_pool())
    assert pool.mount_path is not None
    assert calls.mounted_pool(pool.mount_path).path == f"/mounts/%2Fmnt%2Fbacky%2F{GUID}"
    assert "processes" in (await ask(calls.mounted_pool(pool.mount_path))).body


async def test_a_wrong_key_is_told(address: Address) -> None:
    if address.path:
        return  # root needs none there
    with pytest.raises(ApiError, match="Invalid API key"):
        await AsyncClient(address, "wrong").send(calls.list_pools())


def test_the_app_waits_this_long_for_a_new_pool() -> None:
    waits = list(pauses())
    assert waits[:5] == [0, 1.5, 2.25, 3.375, 5.0625]
    assert len(waits) == 60 and waits[-1] == max(waits) == 30


async def test_a_new_pool_is_waited_for_by_the_apps_rule(
    address: Address, agent: FakeAgent
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            agent.pools.gate.set()
            await asyncio.sleep(0.05)

    agent.pools.gate.clear()
    client = AsyncClient(address, "" if address.path else KEY, sleep=sleep)
    await client.send(calls.create_pool("backup-1", ["drive-scsi1", "drive-scsi2"], guid=GUID))
    pool = await client.wait_for_pool(GUID)
    assert pool is not None and pool["state"] == "ready"
    assert waits == [0, 1.5, 2.25]


@pytest.mark.parametrize(
    ("reply", "sent"),
    [
        (b"HTTP/1.1 500 x\r\n\r\n{}", 4),
        (b"HTTP/1.1 503 x\r\n\r\n{}", 4),
        (b"", 4),
        (b"HTTP/1.1 409 x\r\n\r\n{}", 1),
    ],
)
@pytest.mark.parametrize("face", ["sync", "async"])
async def test_a_changing_call_is_sent_up_to_four_times(reply: bytes, sent: int, face: str) -> None:
    waits: list[float] = []
    received = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        received += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        writer.close()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    to = Address(*server.sockets[0].getsockname())
    with pytest.raises((ApiError, Unreachable)):
        if face == "async":
            await AsyncClient(to, resends=True, sleep=sleep).send(calls.unmount_pool(GUID))
        else:
            client = Client(to, resends=True, sleep=waits.append)
            await asyncio.to_thread(client.send, calls.unmount_pool(GUID))
    assert received == sent and waits == [2, 4, 8][: sent - 1]
    server.close()


def read(call: Call[T], *parts: bytes) -> Answer[T]:
    exchange = Exchange(call, Address("nas2"), "")
    for part in parts:
        assert exchange.receive(part) is None
    answer = exchange.receive(b"")
    assert answer is not None
    return answer


def test_a_reply_may_come_in_pieces() -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\n[]"
    pieces = [reply[at : at + 1] for at in range(len(reply))]
    assert read(calls.list_pools(), *pieces).body == []


@pytest.mark.parametrize(
    "reply", [b"", b"220 mail.example ESMTP\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[]"]
)
def test_what_is_no_whole_reply_is_none(reply: bytes) -> None:
    with pytest.raises(Unreachable):
        read(calls.list_pools(), reply)


@pytest.mark.parametrize(
    ("call", "reply"),
    [
        (calls.list_pools(), b"HTTP/1.1 200 OK\r\n\r\n<html>"),
        (calls.unmount_pool(GUID), b"HTTP/1.1 200 OK\r\n\r\n"),
        (calls.unmount_pool(GUID), b'HTTP/1.1 200 OK\r\n\r\n{"success": false}'),
        (calls.unmount_pool(GUID), b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>"),
    ],
)
def test_what_is_not_the_agents_is_an_error(call: Call[Any], reply: bytes) -> None:
    """To the app as well, an empty body of a changing call is a failure."""
    with pytest.raises(ApiError) as caught:
        read(call, reply)
    assert caught.value.code == UNREADABLE


def test_a_key_cannot_bring_header_fields_in() -> None:
    with pytest.raises(ValueError, match="no header can have"):
        Exchange(calls.list_pools(), Address("nas2"), "x\r\nPrefer: respond-async")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("http://nas2", Address("nas2", 5151)),
        ("http://nas2:80/", Address("nas2", 80)),
        ("https://nas2.example", Address("nas2.example", 443, tls=True)),
        ("http://[::1]:5151", Address("::1", 5151)),
        ("unix:/run/backy/backy.sock", at_socket("/run/backy/backy.sock")),
    ],
)
def test_an_address_is_read(text: str, address: Address) -> None:
    assert parse(text) == address
    assert str(address).removeprefix("unix:") in (text.rstrip("/"), str(address))


@pytest.mark.parametrize(
    "text", ["nas2", "ftp://nas2", "http://", "http://nas2/api/v1", "http://me@nas2", "unix:x", ""]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"address|end after"):
        parse(text)


def test_both_faces_have_the_same_methods() -> None:
    """Each call stands in one place; the faces only carry them."""

    def methods(face: type) -> dict[str, list[str]]:
        found = inspect.getmembers(face, inspect.isfunction)
        return {
            name: list(inspect.signature(method).parameters)
            for name, method in found
            if not name.startswith("_")
        }

    assert methods(Client) == methods(AsyncClient)
