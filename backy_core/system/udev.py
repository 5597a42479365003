"""Receive kernel events: block devices, md arrays, mounts.

Block devices come from udev's netlink socket, after udev has made its links; where no udevd
runs, from the kernel's own. That one also tells at once of a device that has gone: udev does so
after its rules, in which mdadm may wait for seconds. A socket that overflowed has lost events: then
everything may have changed, and the name is empty.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from backy_core.system.exec import CommandFailed, run
from backy_core.system.watch import FileWatch

if TYPE_CHECKING:
    import pyudev

_log = logging.getLogger(__name__)
_UDEVD_SOCKET = Path("/run/udev/control")
_BUFFER_BYTES = 4 << 20
_CHANGES = frozenset({"add", "remove", "change", "move", "offline", "online"})
_GOES = frozenset({"remove"})

OnBlock = Callable[[str, str], None]
OnChange = Callable[[], None]


async def udev_settled(within_s: float) -> bool:
    """Wait until udev has handled every event so far; False if it has not, or does not run.

    ``udevadm settle`` pings udevd first, so that an event on its way to udevd counts too.
    """
    if not _runs():
        return False
    try:
        settled = await run(("udevadm", "settle"), check=False, timeout_s=within_s)
    except CommandFailed:
        return False
    return settled.code == 0


def _runs() -> bool:
    return _UDEVD_SOCKET.exists()


class KernelEvents:
    """Calls back in the loop, from :meth:`start` until :meth:`stop`."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._monitors: list[pyudev.Monitor] = []
        self._watch: FileWatch | None = None

    def start(
        self,
        loop: asyncio.AbstractEventLoop,
        on_block: OnBlock,
        on_mdstat: OnChange,
        on_mounts: OnChange,
    ) -> None:
        """``on_block`` gets the action (``add``, ``remove``, ``change``) and the kernel name."""
        self._loop = loop
        files = {Path("/proc/mdstat"): on_mdstat, Path("/proc/self/mountinfo"): on_mounts}
        watch = self._watch = FileWatch(files, loop)
        watch.start()

        def on_device(action: str, name: str) -> None:
            watch.retry()
            on_block(action, name)

        if _runs():
            self._listen(loop, "udev", _CHANGES, on_device)
        self._listen(loop, "kernel", _GOES if _runs() else _CHANGES, on_device)

    def stop(self) -> None:
        """No callback comes after this."""
        if self._watch is not None:
            self._watch.stop()
        for monitor in self._monitors:
            if self._loop is not None:
                self._loop.remove_reader(monitor.fileno())
        self._watch = self._loop = None
        self._monitors.clear()

    def _listen(
        self,
        loop: asyncio.AbstractEventLoop,
        source: Literal["kernel", "udev"],
        actions: frozenset[str],
        on_block: OnBlock,
    ) -> None:
        # Loads libudev: not at import, which must do nothing.
        import pyudev

        monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source=source)
        monitor.filter_by("block")
        _enlarge_buffer(monitor)
        monitor.start()
        self._monitors.append(monitor)
        loop.add_reader(monitor.fileno(), _receive, monitor, actions, on_block)
        _log.debug("Listening to block device events of %s", source)


def _enlarge_buffer(monitor: pyudev.Monitor) -> None:
    """A storm of events (many arrays stopping at once) must not overflow the socket."""
    try:
        monitor.set_receive_buffer_size(_BUFFER_BYTES)
    except OSError as error:
        _log.debug("The event buffer stays at its size: %s", error)


def _receive(monitor: pyudev.Monitor, actions: frozenset[str], on_block: OnBlock) -> None:
    try:
        while (device := monitor.poll(timeout=0)) is not None:
            if device.action in actions:
                on_block(device.action, device.sys_name)
    except OSError as error:
        _log.warning("Block device events were lost: %s", error)
        on_block("change", "")
