"""The pool that a path leads to, by the kernel's mount table at this moment."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from backy_core.pools.core import Core
from backy_core.pools.reading.viewing import PoolViewer
from backy_core.sdk.errors import NotFound, SystemFailure
from backy_core.store.metadata import PoolEntry
from backy_core.system.mountinfo import MountEntry, MountTree

_LOOK_S = 5.0


class MountedPool(NamedTuple):
    """A pool whose filesystem is what its path leads to."""

    entry: PoolEntry
    mount: MountEntry


async def mounted_pool(core: Core, viewer: PoolViewer, path: str) -> MountedPool:
    """The pool that is mounted at ``path``, with or without its leading slash.

    Raises :class:`NotFound`, which says what is there instead if it is the place of a pool.
    """
    place = "/" + path.strip("/")
    mount = MountTree(core.machine.mounts.read_mounts()).at(place)
    if mount is not None and mount not in core.observer.snapshot.mounts_at(place):
        await core.observer.refresh()  # it was mounted since
    entries = core.metadata.entries()
    if mount is not None and mount in core.observer.snapshot.mounts_at(place):
        for entry in entries:
            if viewer.mounted_at(entry) == place:
                return MountedPool(entry, mount)
    for entry in entries:
        if entry.last_mount_path == place:
            raise NotFound(
                f"Pool {entry.title} is not mounted at {place}",
                details=_mounted(mount) if mount else await _underneath(core, place),
            )
    raise NotFound(f"No pool is mounted at {place}")


def _mounted(mount: MountEntry) -> str:
    return f"{mount.source} is mounted there, with {mount.fstype}"


async def _underneath(core: Core, path: str) -> str:
    looking = partial(core.machine.directories.place, path)
    try:
        place = await core.machine.threads.in_thread(looking, f"look at {path}", _LOOK_S)
    except TimeoutError:
        return "The filesystem that the path lies on does not answer"
    except SystemFailure as problem:
        return problem.message
    if place is None:
        return "Something has just been mounted there"
    if not place.empty:
        return "Nothing is mounted there, and the directory holds files that are not the pool's"
    if place.seal == "none":
        return "Nothing is mounted there, and the empty directory can be written into"
    return "Nothing is mounted there, and nothing can be written into the empty directory"
