"""Mounting and unmounting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from backy_core.sdk.errors import PoolBusy
from backy_core.sdk.models import PoolReport
from backy_core.system.exec import CommandFailed, run
from backy_core.system.mountinfo import (
    MountEntry,
    mount_at,
    mounts_of,
    parse_mountinfo,
    read_mounts,
)
from backy_core.system.usage import Usage, filesystem_usage, filesystem_usages

__all__ = [
    "MountEntry",
    "Usage",
    "filesystem_usage",
    "filesystem_usages",
    "in_host_mount_namespace",
    "is_of_pool",
    "mount",
    "mount_at",
    "mounts_of",
    "parse_mountinfo",
    "read_mounts",
    "unmount",
]

_EXIT_BUSY = 32
"""``umount`` answers 32 for every failed umount(2); its words tell EBUSY from others."""


async def mount(
    source: str,
    path: str,
    fstype: str,
    options: str,
    on_line: Callable[[str], None] | None = None,
) -> None:
    """Mount ``source`` at ``path``. Raises :class:`SystemFailure`.

    ``--no-canonicalize``: what is mounted, and where, is what was asked for, not what a link
    that appeared since leads to.
    """
    argv = ["mount", "--no-canonicalize", "-t", fstype, "-o", options, "--", source, path]
    await run(argv, on_line=on_line)


async def unmount(path: str, on_line: Callable[[str], None] | None = None) -> None:
    """Unmount what is at ``path``; never lazily. Nothing mounted there is done.

    Raises :class:`PoolBusy` if it is in use, :class:`SystemFailure` otherwise.
    """
    if mount_at(read_mounts(), path) is None:
        return
    outcome = await run(["umount", "--", path], check=False, on_line=on_line)
    if outcome.ok or mount_at(read_mounts(), path) is None:
        return
    if outcome.code == _EXIT_BUSY and "busy" in outcome.stderr:
        raise PoolBusy(f"{path}: target is busy")
    raise CommandFailed(f"{path} could not be unmounted", outcome)


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
