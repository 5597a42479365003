"""Run one command for a caller: output as it comes, exit status, stragglers left alone."""

import contextlib
import os
import select
import signal
import socket
import subprocess
from typing import IO, Any

from .. import wire


def execute(sock: socket.socket, request: dict[str, Any]) -> None:
    """Run `argv` as root in its own session and report its end.

    Ends with the command, not with its last descendant: background processes keep running, and what
    they still write is read and dropped, so they do not die of a closed pipe. When the caller goes
    away first, the command's process group is killed.
    """
    try:
        process = subprocess.Popen(
            request["argv"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=request.get("cwd", "/root"),
            env={**os.environ, **request.get("env", {})},
            start_new_session=True,
        )
    except OSError as error:
        wire.send(sock, wire.ERR, f"{request['argv'][0]}: {error.strerror}\n".encode())
        wire.send_json(sock, wire.RESULT, {"status": 127})
        return
    assert process.stdout is not None and process.stderr is not None
    streams = {process.stdout: wire.OUT, process.stderr: wire.ERR}
    try:
        status = _relay(sock, process, streams)
        wire.send_json(sock, wire.RESULT, {"status": status})
    except OSError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    sock.close()
    _drain(streams)


def _relay(
    sock: socket.socket, process: subprocess.Popen[bytes], streams: dict[IO[bytes], bytes]
) -> int:
    ended = os.pidfd_open(process.pid)
    try:
        while True:
            watched: list[Any] = [*streams, ended, sock]
            ready, _, _ = select.select(watched, [], [])
            if sock in ready:
                raise ConnectionError("the caller went away")
            for stream in [stream for stream in ready if stream in streams]:
                _forward(sock, stream, streams)
            if ready == [ended]:
                return _status(process.wait())
    finally:
        os.close(ended)


def _forward(sock: socket.socket, stream: IO[bytes], streams: dict[IO[bytes], bytes]) -> None:
    data = os.read(stream.fileno(), 1 << 16)
    if data:
        wire.send(sock, streams[stream], data)
    else:
        del streams[stream]
        stream.close()


def _drain(streams: dict[IO[bytes], bytes]) -> None:
    while streams:
        for stream in select.select([*streams], [], [])[0]:
            if not os.read(stream.fileno(), 1 << 16):
                del streams[stream]
                stream.close()


def _status(code: int) -> int:
    """The shell's convention: 128 + signal for a killed command."""
    return code if code >= 0 else 128 - code
