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
from collections.abc import Mapping
from contextlib import suppress

from backy_core.cli.exits import Exit, StartRefused

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
