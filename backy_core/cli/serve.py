"""``backy serve``: the agent, from its first check to its orderly end.

The order matters: the port and the state directory are taken before anything on the machine is
looked at, so a second agent changes nothing; and at the end operations are ended while replies
can still be sent.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import ipaddress
import logging
import os
import signal
import socket
from collections.abc import Mapping
from contextlib import closing

from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config

from backy_core import __version__
from backy_core.api.app import create_app
from backy_core.cli.exits import Exit, StartRefused
from backy_core.cli.lock import sole_agent
from backy_core.cli.ownership import refuse_others_files
from backy_core.config import Settings, unknown_variables
from backy_core.logs import configure_logging
from backy_core.runtime import Runtime

CONNECTIONS_GRACE_S = 5.0
"""How long open connections may take to end once the operations have."""

_log = logging.getLogger("backy_core")


def serve(settings: Settings, env: Mapping[str, str]) -> None:
    """Run until SIGTERM or SIGINT. Raises StartRefused if it must not start."""
    configure_logging(settings.log_level, settings.log_format, env=env)
    for variable in unknown_variables(env):
        _log.warning("Environment variable %s sets nothing; is it mistyped?", variable)
    if os.geteuid() != 0:
        raise StartRefused("The agent must run as root: it manages drives", Exit.PERMISSION)
    refuse_others_files(settings)
    with sole_agent(settings.state_dir), closing(bind(settings.host, settings.port)) as listener:
        asyncio.run(_run(settings, listener))


def bind(host: str, port: int) -> socket.socket:
    """A socket on the address, not listening yet; StartRefused if it cannot be had."""
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


async def _run(settings: Settings, listener: socket.socket) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runtime = Runtime(settings)
    await runtime.start()
    _announce(settings, listener)

    async def stopped() -> None:
        await stop.wait()
        _log.info("Stopping: no new operations; running ones may end")
        await _stop(runtime)

    app = create_app(runtime)
    gc.freeze()  # what was made so far stays
    gc.enable()
    await hypercorn_serve(app, _server(listener), shutdown_trigger=stopped)
    _log.info("Stopped")


async def _stop(runtime: Runtime) -> None:
    """The server must end whatever happens; what was left half-way is in the journal."""
    try:
        await runtime.stop()
    except Exception:
        _log.exception("The orderly stop failed; the next start recovers")


def _server(listener: socket.socket) -> Config:
    config = Config()
    # hypercorn makes a socket of its own from the descriptor, and closes it.
    config.bind = [f"fd://{listener.detach()}"]
    config.graceful_timeout = CONNECTIONS_GRACE_S
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    config.errorlog.setLevel(logging.WARNING)  # it announces itself; so do we
    return config


def _announce(settings: Settings, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    _log.info("Backy %s on http://%s:%s", __version__, shown, port)
    _log.info("The API key is in %s", settings.api_key_path)
    if not _is_loopback(host):
        _log.warning("%s is reachable from other machines, unencrypted", shown)


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback


def _refused(host: str, port: int, error: OSError) -> StartRefused:
    if error.errno == errno.EADDRINUSE:
        message = f"Port {port} on {host} is in use"
        return StartRefused(message, Exit.UNAVAILABLE, hint="Set another one with --port.")
    reason = error.strerror or str(error)
    return StartRefused(f"Cannot listen on {host} port {port}: {reason}", Exit.UNAVAILABLE)
