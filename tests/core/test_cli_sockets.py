"""``backy serve`` and the socket in its runtime directory that is root's alone."""

from __future__ import annotations

import signal
import socket
import stat
from pathlib import Path

import pytest

from backy_core.cli.exits import Exit
from tests.core.test_cli import agent, as_root, ask, free_port, wait_started


@as_root
def test_root_is_served_at_a_socket_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "run" / "backy.sock"
    for end in (signal.SIGKILL, signal.SIGTERM):  # what a killed agent left is no obstacle
        with agent(tmp_path, free_port()) as process:
            wait_started(process)
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755
            assert b" 200 " in ask(path)
            process.send_signal(end)
            _, err = process.communicate(timeout=30)
    assert str(path) in err
    assert not path.exists()


@as_root
def test_root_may_do_without_its_socket(tmp_path: Path) -> None:
    with agent(tmp_path, free_port(), "--no-root-socket") as process:
        wait_started(process)
        assert not (tmp_path / "run").exists()


@as_root
@pytest.mark.parametrize("kind", ["file", "link", "directory", "dangling"])
def test_what_is_no_socket_is_not_replaced(tmp_path: Path, kind: str) -> None:
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "backy.sock"
    elsewhere = tmp_path / "elsewhere"
    if kind == "link":  # to a socket that nobody listens on
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(elsewhere))
    if kind == "file":
        path.write_text("mine")
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(elsewhere)
    with agent(tmp_path, free_port()) as process:
        _, err = process.communicate(timeout=30)
    assert process.returncode == Exit.CONFIG
    assert f"{path}: something that is not a socket is there" in err
    assert path.is_symlink() or path.exists()
    assert elsewhere.exists() == (kind == "link")


@as_root
def test_a_socket_in_use_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "backy.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with agent(tmp_path, free_port()) as process:
            _, err = process.communicate(timeout=30)
        assert process.returncode == Exit.UNAVAILABLE
        assert f"Another program listens on {path}" in err
        assert path.is_socket()


@as_root
def test_an_agent_of_another_state_does_not_take_the_socket(tmp_path: Path) -> None:
    with agent(tmp_path, free_port()) as first:
        wait_started(first)
        with agent(tmp_path, free_port(), "--state-dir", str(tmp_path / "other")) as second:
            _, err = second.communicate(timeout=30)
        assert second.returncode == Exit.BUSY
        assert f"Another agent (process {first.pid}) uses the runtime directory" in err
        assert b" 200 " in ask(tmp_path / "run" / "backy.sock")


@as_root
def test_a_path_too_long_for_a_socket_is_told(tmp_path: Path) -> None:
    with agent(tmp_path, free_port(), "--runtime-dir", str(tmp_path / ("x" * 100))) as process:
        _, err = process.communicate(timeout=30)
    assert process.returncode == Exit.UNAVAILABLE
    assert "AF_UNIX path too long" in err
