"""Mounting and unmounting."""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import partial
from pathlib import Path

from backy_core.sdk.errors import PoolBusy
from backy_core.sdk.models import PoolReport
from backy_core.system import directories, libmount
from backy_core.system.mount_health import given_up
from backy_core.system.mountinfo import (
    MountEntry,
    mount_at,
    parse_mountinfo,
    read_mounts,
    read_own,
)
from backy_core.system.namespaces import read_namespaces
from backy_core.system.threads import to_the_end
from backy_core.system.usage import Usage, filesystem_usage, filesystem_usages

__all__ = [
    "MountEntry",
    "Usage",
    "filesystem_usage",
    "filesystem_usages",
    "given_up",
    "in_host_mount_namespace",
    "is_of_pool",
    "mount",
    "mount_at",
    "parse_mountinfo",
    "read_mounts",
    "read_namespaces",
    "read_own",
    "unmount",
]


async def mount(
    source: str, path: str, fstype: str, options: str, on_line: Callable[[str], None] | None = None
) -> None:
    """Mount ``source`` at ``path``, which only root can redirect. Raises :class:`SystemFailure`."""

    def call() -> str | None:
        with directories.opened(path) as place:
            return libmount.mount(source, path, fstype, options, place=place)

    await _told(call, f"mount: {path}", on_line)


async def unmount(path: str, on_line: Callable[[str], None] | None = None) -> None:
    """Unmount what is at ``path``; never lazily. Nothing mounted there is done.

    Raises :class:`PoolBusy` if it is in use, :class:`SystemFailure` otherwise.
    """
    if mount_at(read_mounts(), path) is None:
        return
    try:
        await _told(partial(libmount.unmount, path), f"umount: {path}", on_line)
    except libmount.MountFailed as failure:
        if mount_at(read_mounts(), path) is None:
            return
        if failure.errno == errno.EBUSY:
            raise PoolBusy(f"{path}: target is busy") from failure
        raise


async def _told(
    call: Callable[[], str | None], name: str, on_line: Callable[[str], None] | None
) -> None:
    """Its words go into the outputs as well, in the form of the program of this name."""

    def tell(words: str | None) -> None:
        if words and on_line is not None:
            on_line(f"{name}: {words}")

    try:
        tell(await to_the_end(call, name))
    except libmount.MountFailed as failure:
        tell(failure.details)
        raise


def is_of_pool(mount: MountEntry, report: PoolReport | None) -> bool:
    """Whether the pool's filesystem is what is mounted.

    By source, not device number: btrfs shows an anonymous number in mountinfo.
    """
    if report is None or report.source is not None:
        return report is not None and mount.source == report.source
    node = f"/dev/{report.device}" if report.device else None
    return mount.source.startswith("/dev/") and str(Path(mount.source).resolve()) == node


def in_host_mount_namespace() -> bool:
    """Whether mounts made here are seen by PID 1, and so by everyone else."""
    try:
        return Path("/proc/self/ns/mnt").readlink() == Path("/proc/1/ns/mnt").readlink()
    except OSError:
        return False
