"""Intent to ``zpool`` and ``zfs`` argument lists. Pure; members are references or vdev guids.

What is here works with OpenZFS from 2.1 on and with zfs-fuse 0.7, except where it says so.
"""

from __future__ import annotations

from collections.abc import Sequence

from backy_core.sdk.models import DriveId
from backy_core.sdk.naming import pool_name
from backy_core.sdk.plan import Arg, DriveRef
from backy_zfs.features import COMPATIBILITY, OF_OLDEST

STATUS = ("zpool", "status")
AS_JSON = ("-j", "-p")
"""From OpenZFS 2.3 on; numbers in full."""
IDS = ("zpool", "list", "-H", "-o", "name,guid")
PROPERTIES = ("zpool", "get", "-H", "-o", "name,property,value", "all")
"""Of OpenZFS: with the state of each feature."""
DATASETS = ("zfs", "list", "-H", "-o", "name", "-t", "filesystem,volume,snapshot", "-r")
LABEL = ("zdb", "-l")
STATES = (*LABEL, "-u")
"""With the label each state of the pool that it names."""

_LINKS = "/dev/disk/by-id"
"""Where to look for members: names that stay, and never the kernel's."""
_BY_ID = ("-d", _LINKS)
NEWEST = ("zdb", "-e", "-p", _LINKS, "-u")
"""Open a zpool that is not imported, in a process of its own, and show which state that is."""
EARLIER = ("zdb", "-F", *NEWEST[1:])
"""The same with the newest state that can be read."""
_NO_CACHE = ("-o", "cachefile=none")
"""Nothing but this agent imports the pool again after a boot."""
_VDEV_WORDS = {"single": (), "stripe": ()}


def create_portable(guid: str, level: str, drives: Sequence[DriveId]) -> tuple[Arg, ...]:
    """As :func:`create`, with the features of OpenZFS 2.1 alone, also after a ``zpool upgrade``.
    zfs-fuse does not know ``-d`` and answers 2, which OpenZFS does for wrong usage alone."""
    enabled = (word for name in OF_OLDEST for word in ("-o", f"feature@{name}=enabled"))
    return create(guid, level, drives, "-d", "-o", f"compatibility={COMPATIBILITY}", *enabled)


def create(guid: str, level: str, drives: Sequence[DriveId], *options: str) -> tuple[Arg, ...]:
    """Make a zpool that nothing mounts by itself, and that gives no set-uid program or device
    node any effect.

    ``ashift=12``: a member of 512-byte sectors can be replaced by one of 4096. ``-f`` only for
    drives of different sizes, which mirrors and raidz refuse without it; it would also override
    the tool's own check of the drives' signatures.
    """
    differ = len({drive.size for drive in drives}) > 1
    return (
        *("zpool", "create", *(("-f",) if differ else ()), *options, *_NO_CACHE),
        *("-o", "ashift=12"),
        *("-O", "canmount=noauto", "-O", "mountpoint=none", "-O", "setuid=off"),
        *("-O", "devices=off", "-O", f"org.backy:guid={guid}", pool_name(guid)),
        *_VDEV_WORDS.get(level, (level,)),
        *map(by_id, drives),
    )


def import_unmounted(name: str, *, earlier: bool = False) -> tuple[Arg, ...]:
    """Import by name or by the zpool's own guid, mounting nothing. zfs-fuse has no ``-N`` and
    answers 2, which OpenZFS does for wrong usage alone. ``earlier``: go back for good to the newest
    state that can be read, if that is not the last."""
    return ("zpool", "import", "-N", *_earlier(earlier), *_BY_ID, *_NO_CACHE, name)


def import_fuse(name: str, *, earlier: bool = False) -> tuple[Arg, ...]:
    """The same for zfs-fuse, which mounts what has a mount point, and which takes a pool of this
    very host for another's after each crash."""
    options = ("-f", *_earlier(earlier), "-o", "nosuid,nodev")
    return ("zpool", "import", *options, *_BY_ID, *_NO_CACHE, name)


def import_read_only(name: str) -> tuple[Arg, ...]:
    """Import the newest state that can be read, mounting nothing and writing nothing: after an
    export all is as it was. zfs-fuse cannot."""
    return (
        *("zpool", "import", "-N", *_earlier(True), "-o", "readonly=on"),
        *(*_BY_ID, *_NO_CACHE, name),
    )


def _earlier(earlier: bool) -> tuple[str, ...]:
    return ("-F",) if earlier else ()


def export(name: str) -> tuple[Arg, ...]:
    return ("zpool", "export", name)


def destroy(name: str) -> tuple[Arg, ...]:
    return ("zpool", "destroy", name)


def set_property(name: str, setting: str) -> tuple[Arg, ...]:
    """``setting``: ``property=value``; zfs-fuse takes one at a time."""
    return ("zfs", "set", setting, name)


def mount(name: str) -> tuple[Arg, ...]:
    """Mount the pool's root filesystem at its mount point. zfs-fuse forgets what ``setuid=off``
    and ``devices=off`` mean, so it is said again."""
    return ("zfs", "mount", "-o", "nosuid,nodev", name)


def mount_read_only(name: str, path: str) -> tuple[Arg, ...]:
    """Mount the root filesystem of a zpool whose mount point cannot be set."""
    return ("mount", "-t", "zfs", "-o", "zfsutil,ro,nosuid,nodev", name, path)


def unmount(name: str) -> tuple[Arg, ...]:
    return ("zfs", "unmount", name)


def online(name: str, vdev: Arg) -> tuple[Arg, ...]:
    """Take a returned member back; what it missed is resilvered."""
    return ("zpool", "online", name, vdev)


def offline(name: str, vdev: Arg) -> tuple[Arg, ...]:
    return ("zpool", "offline", name, vdev)


def replace(name: str, vdev: Arg, drive: DriveId) -> tuple[Arg, ...]:
    """Resilver to a blank drive; when that is done the old member is let go by itself."""
    return ("zpool", "replace", name, vdev, by_id(drive))


def by_id(drive: DriveId) -> DriveRef:
    """A whole drive by a name that stays: ZFS writes the path into its labels."""
    return DriveRef(drive=drive, form="by-id")
