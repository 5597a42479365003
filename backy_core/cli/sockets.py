"""Sockets to listen on: of the agent's own, or handed over by systemd.

A socket that systemd holds stays open while the agent restarts: nobody else can take the port
meanwhile, and with it the key that the next client sends.
"""

from __future__ import annotations

import errno
import logging
import os
import resource
import socket
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from backy_core.cli.exits import Exit
from backy_core.cli.refusal import StartRefused

_FIRST_HANDED_OVER = 3
"""`sd_listen_fds(3)`."""

_log = logging.getLogger(__name__)


def handed_over(env: Mapping[str, str]) -> list[socket.socket]:
    """The sockets that systemd passed to this process, if any. Call once."""
    if env.get("LISTEN_PID") != str(os.getpid()):
        return []
    try:
        count = int(env.get("LISTEN_FDS", "0"))
    except ValueError:
        return []
    listeners = []
    for descriptor in range(_FIRST_HANDED_OVER, _FIRST_HANDED_OVER + count):
        os.set_inheritable(descriptor, False)
        try:
            listener = socket.socket(fileno=descriptor)
            listening = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        except OSError:
            listening = 0
        if not listening or listener.type != socket.SOCK_STREAM:
            message = f"Descriptor {descriptor} from systemd is not a listening stream socket"
            raise StartRefused(message, Exit.CONFIG, hint="Correct the socket unit.")
        listeners.append(listener)
    return listeners


def bind(host: str, port: int) -> socket.socket:
    """A socket on the address; StartRefused if it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    # After a kill, connections in TIME_WAIT would hold the port for a minute.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((host, port))
        # With SO_REUSEADDR, Linux lets two sockets bind until one listens.
        listener.listen()
    except OSError as error:
        listener.close()
        raise _refused(host, port, error) from error
    return listener


@contextmanager
def socket_of_root(path: Path) -> Iterator[socket.socket]:
    """A socket at ``path`` that root alone can connect to; StartRefused if it cannot be had.

    Its directory is root's alone, and no other agent uses it.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        # Before it has a name: nobody finds it with a wider mode.
        os.fchmod(listener.fileno(), 0o600)
        try:
            _remove_leftover(path)
            listener.bind(str(path))
            listener.listen()
        except OSError as error:
            reason = error.strerror or str(error)
            raise StartRefused(f"Cannot listen on {path}: {reason}", Exit.UNAVAILABLE) from error
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)


def _remove_leftover(path: Path) -> None:
    """Remove the socket of an agent that was killed, and nothing else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        message = f"Cannot listen on {path}: something that is not a socket is there"
        raise StartRefused(message, Exit.CONFIG, hint=f"Look at it, then remove it: ls -l {path}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        try:
            client.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:  # somebody listens, and is busy
            pass
    raise StartRefused(f"Another program listens on {path}", Exit.UNAVAILABLE)


def raise_descriptor_limit() -> None:
    """As many descriptors as the agent may have: the usual soft limit is for `select(2)`."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _refused(host: str, port: int, error: OSError) -> StartRefused:
    if error.errno == errno.EADDRINUSE:
        message = f"Port {port} on {host} is in use"
        return StartRefused(message, Exit.UNAVAILABLE, hint="Set another one with --port.")
    reason = error.strerror or str(error)
    return StartRefused(f"Cannot listen on {host} port {port}: {reason}", Exit.UNAVAILABLE)
