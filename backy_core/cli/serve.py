"""``backy serve``: the agent, from its first check to its orderly end.

The order matters: the port and the state directory are taken before anything on the machine is
looked at, so a second agent changes nothing; and at the end operations are ended while replies
can still be sent.
"""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack

from backy_core import __version__
from backy_core.api.app import create_app
from backy_core.api.auth import bears_key
from backy_core.api.server.limits import Limits
from backy_core.api.server.server import Server
from backy_core.api.server.targets import Hosts
from backy_core.api.server.tls import Certificate
from backy_core.api.sessions import EXTENSION as SESSIONS
from backy_core.cli.exits import Exit
from backy_core.cli.lock import sole_agent
from backy_core.cli.notify import Notifier
from backy_core.cli.ownership import refuse_others_files
from backy_core.cli.refusal import StartRefused
from backy_core.cli.sockets import (
    bind,
    handed_over,
    raise_descriptor_limit,
    socket_of_root,
)
from backy_core.config.settings import Settings, unknown_variables
from backy_core.logs import configure_logging
from backy_core.runtime import Runtime
from backy_core.system.machine import LINUX, Machine
from backy_core.web.pages import add_pages

CONNECTIONS_GRACE_S = 3.0
"""How long open connections may take to end once the operations have."""
END_S = 4.5
"""How long everything may take that is left to do then."""

_log = logging.getLogger("backy_core")


def serve(settings: Settings, env: Mapping[str, str], machine: Machine = LINUX) -> None:
    """Run until SIGTERM or SIGINT. Raises StartRefused if it must not start."""
    configure_logging(settings.log_level, settings.log_format, env=env)
    for variable in unknown_variables(env):
        _log.warning("Environment variable %s sets nothing; is it mistyped?", variable)
    if os.geteuid() != 0:
        raise StartRefused("The agent must run as root: it manages drives", Exit.PERMISSION)
    refuse_others_files(settings)
    raise_descriptor_limit()
    with sole_agent(settings.state_dir), ExitStack() as stack:
        listeners = handed_over(env) or [bind(settings.host, settings.port)]
        for listener in listeners:
            stack.callback(listener.close)
        of_root = None
        if settings.root_socket:
            in_runtime = sole_agent(settings.runtime_dir, "runtime", "socket.lock", 0o755)
            stack.enter_context(in_runtime)
            of_root = stack.enter_context(socket_of_root(settings.root_socket_path))
        asyncio.run(_run(settings, listeners, of_root, Notifier(env), machine))


async def _run(
    settings: Settings,
    listeners: Sequence[socket.socket],
    of_root: socket.socket | None,
    notifier: Notifier,
    machine: Machine,
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    keeping_alive = loop.create_task(notifier.keep_alive())
    certificate = _certificate(settings, machine)
    runtime = Runtime(settings, machine=machine)
    if certificate is not None:
        runtime.other_problems.append(lambda: certificate.problem)
    await runtime.start()
    _announce(settings, [*listeners, *([of_root] if of_root else [])])
    app = create_app(runtime)
    add_pages(app)
    server = Server(
        app,
        Limits(connections=settings.max_connections),
        Hosts(settings.allowed_hosts),
        trusts=lambda fields: bears_key(fields, runtime.keys, app.extensions[SESSIONS]),
        certificate=certificate,
    )
    gc.freeze()  # what was made so far stays
    gc.enable()
    server.listen(*listeners)
    if of_root is not None:
        server.listen_to_root(of_root)
    notifier.tell("READY=1")
    await stop.wait()
    notifier.tell("STOPPING=1")
    _log.info("Stopping: no new operations; running ones may end")
    await _stop(runtime)
    _end_at_last()
    await server.close(CONNECTIONS_GRACE_S)
    keeping_alive.cancel()
    _log.info("Stopped")


def _certificate(settings: Settings, machine: Machine) -> Certificate | None:
    if settings.tls_certificate is None:
        return None
    return Certificate(settings.tls_certificate, settings.tls_key, machine.threads)


def _end_at_last() -> None:
    """End the process although a client or a thread does not: no operation runs any more, and
    what was done is durable.
    """

    def end() -> None:
        _log.warning("Something did not end within %s s; ended without it", END_S)
        os._exit(Exit.OK)

    timer = threading.Timer(END_S, end)
    timer.daemon = True
    timer.start()


async def _stop(runtime: Runtime) -> None:
    """The server must end whatever happens; what was left half-way is in the journal."""
    try:
        await runtime.stop()
    except Exception:
        _log.exception("The orderly stop failed; the next start recovers")


def _announce(settings: Settings, listeners: Iterable[socket.socket]) -> None:
    for listener in listeners:
        if listener.family == socket.AF_UNIX:
            _log.info("Backy %s on %s", __version__, listener.getsockname())
            continue
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        scheme = "http" if settings.tls_certificate is None else "https"
        _log.info("Backy %s on %s://%s:%s", __version__, scheme, shown, port)
        if not _is_loopback(host) and settings.tls_certificate is None:
            _log.warning("%s is reachable from other machines, unencrypted", shown)
    _log.info("The API key is in %s", settings.api_key_path)


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback
