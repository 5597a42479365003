"""Intent to ``zpool`` and ``zfs`` commands. Pure; members are references or vdev guids.

What is here works with OpenZFS from 2.1 on and with zfs-fuse 0.7, except where it says so.
"""

from __future__ import annotations

from collections.abc import Sequence

from backy_core.sdk.models import DriveId
from backy_core.sdk.naming import pool_name
from backy_core.sdk.plan import Arg, DriveRef, Exec
from backy_zfs.features import COMPATIBILITY, OF_OLDEST, UNSUPPORTED
from backy_zfs.naming import LINKS

_NO_CACHE = ("-o", "cachefile=none")
"""Nothing but this agent imports the pool again after a boot."""
_VDEV_WORDS = {"single": (), "stripe": ()}
_WRONG_USAGE = "usage:"
_NO_IMPORT = ("Recovery is possible", UNSUPPORTED)


def create_portable(guid: str, level: str, drives: Sequence[DriveId]) -> Exec:
    """As :func:`create`, with the features of OpenZFS 2.1 alone, also after a ``zpool upgrade``.
    zfs-fuse does not know ``-d`` and answers 2, which OpenZFS does for wrong usage alone."""
    enabled = (word for name in OF_OLDEST for word in ("-o", f"feature@{name}=enabled"))
    options = ("-d", "-o", f"compatibility={COMPATIBILITY}", *enabled)
    return Exec(argv=_create(guid, level, drives, *options), ok_codes=(0, 2))


def create(guid: str, level: str, drives: Sequence[DriveId]) -> Exec:
    """Make a zpool that nothing mounts by itself, and that gives no set-uid program or device
    node any effect."""
    final_words = (_WRONG_USAGE, "less than the minimum size")
    return Exec(argv=_create(guid, level, drives), final_words=final_words)


def _create(guid: str, level: str, drives: Sequence[DriveId], *options: str) -> tuple[Arg, ...]:
    """``ashift=12``: a member of 512-byte sectors can be replaced by one of 4096. ``-f`` only for
    drives of different sizes, which mirrors and raidz refuse without it; it would also override
    the tool's own check of the drives' signatures."""
    differ = len({drive.size for drive in drives}) > 1
    return (
        *("zpool", "create", *(("-f",) if differ else ()), *options, *_NO_CACHE),
        *("-o", "ashift=12"),
        *("-O", "canmount=noauto", "-O", "mountpoint=none", "-O", "setuid=off"),
        *("-O", "devices=off", "-O", f"org.backy:guid={guid}", pool_name(guid)),
        *_VDEV_WORDS.get(level, (level,)),
        *map(by_id, drives),
    )


def import_unmounted(name: str, *, earlier: bool = False) -> Exec:
    """Import by name or by the zpool's own guid, mounting nothing. zfs-fuse has no ``-N`` and
    answers 2, which OpenZFS does for wrong usage alone. ``earlier``: go back for good to the newest
    state that can be read, if that is not the last."""
    argv = _import(name, "-N", *_earlier(earlier))
    return Exec(argv=argv, ok_codes=(0, 2), final_words=_NO_IMPORT)


def import_fuse(name: str, *, earlier: bool = False) -> Exec:
    """The same for zfs-fuse, which mounts what has a mount point, and which takes a pool of this
    very host for another's after each crash."""
    argv = _import(name, "-f", *_earlier(earlier), "-o", "nosuid,nodev")
    return Exec(argv=argv, final_words=_NO_IMPORT)


def import_read_only(name: str) -> Exec:
    """Import the newest state that can be read, mounting nothing and writing nothing: after an
    export all is as it was. zfs-fuse cannot."""
    argv = _import(name, "-N", *_earlier(True), "-o", "readonly=on")
    return Exec(argv=argv, final_words=(_WRONG_USAGE,))


def _import(name: str, *options: str) -> tuple[Arg, ...]:
    return ("zpool", "import", *options, "-d", LINKS, *_NO_CACHE, name)


def _earlier(earlier: bool) -> tuple[str, ...]:
    return ("-F",) if earlier else ()


def export(name: str, *also_ok: int) -> Exec:
    return Exec(argv=("zpool", "export", name), ok_codes=(0, *also_ok))


def destroy(name: str, *also_ok: int) -> Exec:
    return Exec(argv=("zpool", "destroy", name), ok_codes=(0, *also_ok))


def set_property(name: str, setting: str, *also_ok: int) -> Exec:
    """``setting``: ``property=value``; zfs-fuse takes one at a time."""
    return Exec(argv=("zfs", "set", setting, name), ok_codes=(0, *also_ok))


def mount(name: str) -> Exec:
    """Mount the pool's root filesystem at its mount point. zfs-fuse forgets what ``setuid=off``
    and ``devices=off`` mean, so it is said again."""
    return Exec(argv=("zfs", "mount", "-o", "nosuid,nodev", name))


def mount_read_only(name: str, path: str) -> Exec:
    """Mount the root filesystem of a zpool that is imported read-only, so that its mount point
    cannot be set."""
    return Exec(argv=("mount", "-t", "zfs", "-o", "zfsutil,ro,nosuid,nodev", name, path))


def unmount(name: str) -> Exec:
    """Unmount the root filesystem, if it is mounted."""
    return Exec(argv=("zfs", "unmount", name), ok_codes=(0, 1))


def online(name: str, vdev: Arg) -> Exec:
    """Take a returned member back; what it missed is resilvered."""
    return _join("online", name, vdev)


def try_online(name: str, vdev: Arg) -> Exec:
    """The same; later steps find out whether it was taken."""
    return Exec(argv=("zpool", "online", name, vdev), ok_codes=(0, 1))


def offline(name: str, vdev: Arg) -> Exec:
    """Let go of a member, unless ZFS has done so."""
    return Exec(argv=("zpool", "offline", name, vdev), ok_codes=(0, 1))


def replace(name: str, vdev: Arg, drive: DriveId) -> Exec:
    """Resilver to a blank drive; when that is done the old member is let go by itself."""
    return _join("replace", name, vdev, by_id(drive))


def _join(command: str, *words: Arg) -> Exec:
    return Exec(argv=("zpool", command, *words), final_words=(_WRONG_USAGE, "device is too small"))


def by_id(drive: DriveId) -> DriveRef:
    """A whole drive by a name that stays: ZFS writes the path into its labels."""
    return DriveRef(drive=drive, form="by-id")
