"""TLS by certificates that openssl makes, for real clients."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from quart import Quart

from backy_core.api.auth import bears_key
from backy_core.api.server import tls
from backy_core.api.server.limits import MAX_BODY_BYTES, Limits
from backy_core.api.server.server import Server
from backy_core.api.server.tls import Certificate
from backy_core.cli.exits import Exit
from backy_core.client import calls
from backy_core.client.address import parse
from backy_core.client.aio import AsyncClient
from backy_core.client.errors import Unreachable
from backy_core.client.replies import ListedPool
from backy_core.client.sync import Client
from backy_core.config.errors import ConfigurationError
from backy_core.config.settings import load_settings
from backy_core.system import threads
from tests.http.fake_agent import KEY, FakeAgent
from tests.http.fake_pools import standing_pool

LIMITS = Limits(connections=16)
ASK = f"GET /api/v1/pools HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {KEY}\r\n".encode()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two certificates with their keys, and one of the keys encrypted."""
    folder = tmp_path_factory.mktemp("made")
    for name in ("one", "two"):
        _openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-noenc", "-days", "2", "-subj", f"/CN={name}"),
            *("-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem")),
        )
    encrypted = ("-aes256", "-passout", "pass:secret")
    _openssl(
        *("ec", "-in", str(folder / "one.key"), *encrypted),
        *("-out", str(folder / "encrypted.key")),
    )
    return folder


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


class Files:
    """The pair that the agent reads."""

    def __init__(self, folder: Path, made: Path) -> None:
        self.certificate, self.key = folder / "agent.pem", folder / "agent.key"
        self._made = made

    def put(self, certificate: str | None = None, key: str | None = None) -> None:
        """Replace them as tools do: by another file of the same name."""
        for name, file in ((f"{certificate}.pem", self.certificate), (f"{key}.key", self.key)):
            if not name.startswith("None"):
                shutil.copy(self._made / name, file.with_suffix(".new"))
                file.with_suffix(".new").replace(file)

    def read(self) -> Certificate:
        return Certificate(self.certificate, self.key, threads)

    def shown(self, name: str) -> bytes:
        return ssl.PEM_cert_to_DER_cert((self._made / f"{name}.pem").read_text())


@pytest.fixture
def files(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.setattr(tls, "CHECK_S", 0)
    files = Files(tmp_path, made)
    files.put("one", "one")
    return files


@pytest.fixture
def certificate(files: Files) -> Certificate:
    return files.read()


@pytest.fixture
async def port(app: Quart, agent: FakeAgent, certificate: Certificate) -> AsyncIterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(
        app,
        LIMITS,
        trusts=lambda fields: bears_key(fields, agent.keys),
        certificate=certificate,
    )
    server.listen(listener)
    yield listener.getsockname()[1]
    await server.close(1)


async def connect(
    port: int, most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = most
    async with asyncio.timeout(5):
        return await asyncio.open_connection("127.0.0.1", port, ssl=context)


async def shown(port: int) -> bytes:
    """The certificate that a new client sees."""
    _, writer = await connect(port)
    certificate: bytes = writer.get_extra_info("ssl_object").getpeercert(True)
    writer.close()
    return certificate


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(ASK + b"\r\n")
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(2)  # an empty list
    return head


async def test_a_client_that_checks_is_served(port: int, files: Files) -> None:
    context = ssl.create_default_context(cafile=files.certificate)
    connection = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="localhost"
    )
    for _ in range(3):
        assert (await ask(*connection)).startswith(b"HTTP/1.1 200 ")
    connection[1].close()


async def test_events_by_tls(port: int, agent: FakeAgent) -> None:
    """Also more of them than fit into a buffer."""
    reader, writer = await connect(port)
    writer.write(ASK.replace(b"/pools", b"/events") + b"\r\n")
    async with asyncio.timeout(5):
        await reader.readuntil(b"event: snapshot\n")
        agent.pools.add(replace(standing_pool(), label="a" * 200_000))
        await reader.readuntil(b"event: pool\n")
        agent.pools.add(replace(standing_pool(), label="the last"))
        while b"the last" not in await reader.read(1 << 16):
            pass
    writer.close()


@pytest.mark.parametrize("face", ["sync", "async"])
async def test_our_own_client_checks_the_certificate(
    port: int, files: Files, face: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = parse(f"https://localhost:{port}")

    async def pools() -> list[ListedPool]:
        if face == "async":
            return await AsyncClient(address, KEY).send(calls.list_pools())
        return await asyncio.to_thread(Client(address, KEY).send, calls.list_pools())

    with pytest.raises(Unreachable, match="certificate verify failed"):
        await pools()
    monkeypatch.setenv("SSL_CERT_FILE", str(files.certificate))
    assert await pools() == []


async def typed(port: int, trusted: Path | None) -> tuple[int, str, str]:
    """``backy pools`` at this address, as a program of its own."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("BACKY_")}
    env |= {"BACKY_API_KEY": KEY} | ({"SSL_CERT_FILE": str(trusted)} if trusted else {})
    command = [sys.executable, "-m", "backy_core", "pools", "--url", f"https://localhost:{port}"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env=env, stdout=pipe, stderr=pipe)
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_the_command_line_follows_a_renewed_certificate(
    port: int, files: Files, made: Path, agent: FakeAgent
) -> None:
    agent.pools.add(standing_pool())
    status, _, err = await typed(port, None)
    assert status == Exit.UNAVAILABLE and "certificate verify failed" in err
    status, out, _ = await typed(port, made / "one.pem")
    assert status == Exit.OK and "backup-1" in out
    files.put("two", "two")
    status, _, err = await typed(port, made / "one.pem")
    assert status == Exit.UNAVAILABLE and "certificate verify failed" in err
    status, out, _ = await typed(port, made / "two.pem")
    assert status == Exit.OK and "backup-1" in out


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1")
async def test_old_versions_are_refused(port: int) -> None:
    with pytest.raises(OSError, match=r"(?i)ssl|reset|version"):
        await connect(port, ssl.TLSVersion.TLSv1_1)
    assert await ask(*await connect(port, ssl.TLSVersion.TLSv1_2))


async def test_plain_http_gets_nothing(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(ASK + b"\r\n")
    async with asyncio.timeout(5):
        assert b"HTTP" not in await reader.read()
    writer.close()
    assert await ask(*await connect(port))


async def test_silent_clients_keep_nobody_out(port: int) -> None:
    silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
    assert await ask(*await connect(port))
    async with asyncio.timeout(5):  # those that came first were let go
        assert await silent[0][0].read() == b""
    for _, writer in silent:
        writer.close()


async def test_a_reply_reaches_a_client_that_still_sends(port: int) -> None:
    reader, writer = await connect(port)
    size = 2 * MAX_BODY_BYTES
    head = ASK.replace(b"GET", b"POST") + f"Content-Length: {size}\r\n\r\n".encode()
    writer.write(head + bytes(size - 1))
    async with asyncio.timeout(5):
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 413 ")
    writer.close()


async def test_a_large_reply_arrives_whole(port: int) -> None:
    reader, writer = await connect(port)
    writer.write(b"GET /docs/static/swagger-ui/swagger-ui-bundle.js HTTP/1.1\r\n")
    writer.write(b"Host: localhost\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(10):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    (length,) = (line for line in head.lower().splitlines() if b"content-length" in line)
    assert int(length.split()[1]) == len(body) > 100_000
    writer.close()


async def test_a_unix_socket_stays_plain(
    app: Quart, certificate: Certificate, tmp_path: Path
) -> None:
    server = Server(app, certificate=certificate)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    server.listen(listener)
    connection = await asyncio.open_unix_connection(str(tmp_path / "socket"))
    connection[1].write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert json.loads((await connection[0].read()).partition(b"\r\n\r\n")[2]) == {"status": "ok"}
    await server.close(1)


async def test_new_files_are_shown_to_the_next_client(
    port: int, files: Files, certificate: Certificate
) -> None:
    before = await connect(port)
    assert await shown(port) == files.shown("one")
    files.put("two", "two")
    assert await shown(port) == files.shown("two")
    assert await ask(*before)
    assert certificate.problem is None


async def test_half_a_pair_waits_for_the_other_half(
    port: int, files: Files, certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    files.put("two")
    assert await shown(port) == files.shown("one")
    assert certificate.problem is not None and "mismatch" in certificate.problem
    assert await shown(port) == files.shown("one")
    errors = [line for line in caplog.messages if "certificate stays" in line]
    assert len(errors) == 1 and str(files.key) in errors[0]
    files.put(key="two")
    assert await shown(port) == files.shown("two")
    assert certificate.problem is None


async def test_a_file_that_is_gone_changes_nothing(
    port: int, files: Files, certificate: Certificate
) -> None:
    aside = files.key.rename(files.key.with_name("aside"))
    assert await shown(port) == files.shown("one")
    assert certificate.problem == f"{files.key}: No such file or directory"
    aside.rename(files.key)
    assert await shown(port) == files.shown("one")
    assert certificate.problem is None


@pytest.mark.parametrize(
    ("key", "words"),
    [("two", "mismatch"), ("encrypted", "the key is encrypted"), (None, "No such file")],
)
def test_a_start_needs_a_pair_that_fits(files: Files, key: str | None, words: str) -> None:
    files.key.unlink()
    if key is not None:
        files.put(key=key)
    with pytest.raises(ConfigurationError, match=words):
        files.read()


def test_one_file_may_hold_both(files: Files) -> None:
    both = files.certificate.with_name("both.pem")
    both.write_text(files.certificate.read_text() + files.key.read_text())
    assert Certificate(both, None, threads).problem is None
    with pytest.raises(ConfigurationError, match="cannot be used"):
        Certificate(files.certificate, None, threads)


def test_a_key_that_everyone_can_read_is_said(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    files.key.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        files.read()
    assert f"everyone can read {files.key}" in caplog.text


def test_a_key_needs_a_certificate() -> None:
    with pytest.raises(ConfigurationError, match="tls_certificate is not set"):
        load_settings({}, {"BACKY_TLS_KEY": "/etc/backy/agent.key", "BACKY_CONFIG_DIR": "/none"})
