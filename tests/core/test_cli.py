"""``backy``: how it starts, refuses to, and ends. The agent inside is a stand-in."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from backy_core import __version__
from backy_core.cli import serve as serve_module
from backy_core.cli import sockets
from backy_core.cli.exits import Exit
from backy_core.cli.lock import sole_agent
from backy_core.cli.main import main
from backy_core.cli.refusal import StartRefused
from backy_core.config.settings import Settings

STAND_IN = textwrap.dedent(
    """
    import asyncio, sys, time, types
    from quart import Quart

    class Runtime:
        def __init__(self, settings, machine):
            self.settings = settings
            self.keys = types.SimpleNamespace(caller_of=lambda secret: None)
            self.state = "new"
            self.stopping = asyncio.Event()
        async def start(self):
            print("started", flush=True)
        async def stop(self):
            self.stopping.set()
            await asyncio.sleep(0.3)
            print("stopped", flush=True)
            {in_stop}

    def create_app(runtime):
        app = Quart("stand-in")
        app.extensions["backy_sessions"] = None
        @app.get("/ping")
        async def ping():
            return {{"ok": True}}
        @app.get("/for-ever")
        async def for_ever():
            await asyncio.Event().wait()
        @app.get("/in-a-thread")
        async def in_a_thread():
            await asyncio.to_thread(time.sleep, 60)
        @app.get("/wait")
        async def wait():
            await runtime.stopping.wait()
            return {{"answered": True}}
        return app

    runtime = types.ModuleType("backy_core.runtime")
    runtime.Runtime = Runtime
    app = types.ModuleType("backy_core.api.app")
    app.create_app = create_app
    sys.modules["backy_core.runtime"] = runtime
    sys.modules["backy_core.api.app"] = app
    from backy_core.cli.main import main
    sys.exit(main())
    """
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def agent(
    folder: Path,
    port: int,
    *words: str,
    in_stop: str = "pass",
    handed_over: Sequence[socket.socket] = (),
) -> Iterator[subprocess.Popen[str]]:
    """``backy serve`` in a process of its own, ended whatever happens.

    ``handed_over`` are passed to it as systemd passes the sockets of a unit.
    """
    code = STAND_IN.format(in_stop=in_stop)
    env = {
        **os.environ,
        "BACKY_STATE_DIR": str(folder / "state"),
        "BACKY_CONFIG_DIR": str(folder / "etc"),
        "BACKY_RUNTIME_DIR": str(folder / "run"),
        "BACKY_PORT": str(port),
    }
    command = [sys.executable, "-c", code, "serve", *words]
    descriptors = [each.fileno() for each in handed_over]
    if handed_over:
        env["LISTEN_FDS"] = str(len(descriptors))
        places = " ".join(f"{3 + place}<&{it}" for place, it in enumerate(descriptors))
        command = ["bash", "-c", f'LISTEN_PID=$$ exec "$@" {places}', "bash", *command]
    with subprocess.Popen(
        command,
        env=env,
        pass_fds=descriptors,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def wait_started(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == "started\n", process.communicate()[1]


def get(port: int, path: str) -> object:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as reply:
        return json.load(reply)


def ask(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return client.recv(1000)


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="the agent starts only as root")


@as_root
def test_it_serves_until_sigterm(tmp_path: Path) -> None:
    port = free_port()
    with agent(tmp_path, port) as process:
        wait_started(process)
        assert get(port, "/ping") == {"ok": True}
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert process.returncode == Exit.OK
    assert out == "stopped\n"
    assert f"http://127.0.0.1:{port}" in err
    assert str(tmp_path / "etc" / "api-key") in err


@as_root
async def test_a_waiting_client_is_answered_while_it_stops(tmp_path: Path) -> None:
    port = free_port()
    with agent(tmp_path, port) as process:
        await asyncio.to_thread(wait_started, process)
        assert await asyncio.to_thread(get, port, "/ping") == {"ok": True}
        waiting = asyncio.create_task(asyncio.to_thread(get, port, "/wait"))
        await asyncio.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert await waiting == {"answered": True}
        await asyncio.to_thread(process.communicate, timeout=30)
    assert process.returncode == Exit.OK


@as_root
def test_a_stop_that_fails_still_ends_the_server(tmp_path: Path) -> None:
    with agent(tmp_path, free_port(), in_stop="raise RuntimeError('stuck')") as process:
        wait_started(process)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert process.returncode == Exit.OK
    assert "orderly stop failed" in err


@as_root
def test_no_client_keeps_it_from_ending(tmp_path: Path) -> None:
    port = free_port()
    with agent(tmp_path, port) as process, ExitStack() as clients:
        wait_started(process)
        get(port, "/ping")
        for text in ("", "GET / HT", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"):
            for path in ("", "/for-ever", "/in-a-thread"):
                head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n" if path else text
                client = clients.enter_context(socket.create_connection(("127.0.0.1", port)))
                client.sendall(head.encode())
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert time.monotonic() - began < 5 + 0.3  # the stand-in takes as long to stop
    assert process.returncode == Exit.OK


@as_root
def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(str(tmp_path / "notify"))
    told.settimeout(20)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    with told, agent(tmp_path, free_port()) as process:
        words = [told.recv(100) for _ in range(4)]
        assert b"READY=1" in words and words.count(b"WATCHDOG=1") == 3
        process.send_signal(signal.SIGTERM)
        while told.recv(100) != b"STOPPING=1":
            pass
        process.communicate(timeout=30)


@as_root
def test_sockets_of_systemd_stay_while_the_agent_restarts(tmp_path: Path) -> None:
    path = str(tmp_path / "agent.sock")
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as local:
        local.bind(path)
        local.listen()
        port = tcp.getsockname()[1]
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", port)) as early:
                early.sendall(b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
                with agent(tmp_path, 1, handed_over=(tcp, local)) as process:
                    wait_started(process)
                    early.settimeout(10)
                    assert b" 200 " in early.recv(1000)
                    assert b" 200 " in ask(Path(path))
                    process.send_signal(signal.SIGTERM)
                    _, err = process.communicate(timeout=30)
            assert process.returncode == Exit.OK
            assert f"http://127.0.0.1:{port}" in err and path in err


@as_root
def test_a_socket_of_systemd_must_listen(tmp_path: Path) -> None:
    with socket.socket() as idle, agent(tmp_path, 1, handed_over=(idle,)) as process:
        _, err = process.communicate(timeout=30)
    assert process.returncode == Exit.CONFIG
    assert "not a listening stream socket" in err


@as_root
def test_a_second_agent_on_the_same_state_is_refused(tmp_path: Path) -> None:
    with agent(tmp_path, free_port()) as first:
        wait_started(first)
        with agent(tmp_path, free_port()) as second:
            out, err = second.communicate(timeout=30)
        assert second.returncode == Exit.BUSY
        assert out == "", "it must not have started"
        assert f"Another agent (process {first.pid})" in err
        assert len(err.splitlines()) == 1


@as_root
def test_the_state_is_free_again_after_a_kill(tmp_path: Path) -> None:
    port = free_port()
    with agent(tmp_path, port) as first:
        wait_started(first)
        first.kill()
        first.wait(10)
    with agent(tmp_path, port) as second:
        wait_started(second)


@as_root
def test_a_port_in_use_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with agent(tmp_path, port) as process:
            out, err = process.communicate(timeout=30)
    assert process.returncode == Exit.UNAVAILABLE
    assert out == ""
    assert err.splitlines()[0] == f"backy: Port {port} on 127.0.0.1 is in use"


@as_root
def test_listening_to_the_world_is_warned_of(tmp_path: Path) -> None:
    with agent(tmp_path, 0, "--host", "0.0.0.0") as process:
        wait_started(process)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert "reachable from other machines" in err


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    with agent(tmp_path, 0, "--wipe-policy", "never") as process:
        _, err = process.communicate(timeout=30)
    assert process.returncode == Exit.CONFIG
    assert re.fullmatch(r"backy: Setting 'wipe_policy' \(flag --wipe-policy\) .*\n", err)


def test_not_root_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(StartRefused, match="must run as root") as caught:
        serve_module.serve(Settings(state_dir=tmp_path / "state"), {})
    assert caught.value.status == Exit.PERMISSION
    assert not (tmp_path / "state").exists()


def test_a_state_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StartRefused, match="cannot be used"),
        sole_agent(tmp_path / "file" / "state"),
    ):
        pytest.fail("it was used")


def test_an_address_that_is_not_ours_is_refused() -> None:
    with pytest.raises(StartRefused, match=r"Cannot listen on 192\.0\.2\.1") as caught:
        sockets.bind("192.0.2.1", 0)
    assert caught.value.status == Exit.UNAVAILABLE


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"backy {__version__}\n"


@pytest.mark.parametrize("words", [["serve", "--prot", "1"], ["dance"], ["pools", "dance"]])
def test_a_command_line_not_understood(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == Exit.USAGE


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == Exit.USAGE
    assert "examples:" in capsys.readouterr().out


def test_version_is_told_without_loading_the_server() -> None:
    code = (
        "import sys\nfrom backy_core.cli.main import main\n"
        "try:\n    main(['--version'])\nexcept SystemExit:\n    pass\n"
        "print('quart' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "False"
