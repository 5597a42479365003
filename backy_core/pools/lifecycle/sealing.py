"""Mount directories that nothing can be written into while their pools are away.

A backup whose pool is not mounted would fill the system disk instead. Only directories that the
agent made are sealed; deleting the pool removes them.
"""

from __future__ import annotations

from collections.abc import Callable

from backy_core.operations.actions.mounting import seal
from backy_core.pools.core import Core
from backy_core.store.metadata import PoolEntry


async def seal_place(core: Core, entry: PoolEntry, write: Callable[[str], None]) -> None:
    """Seal the mount directory of an unmounted pool, if the agent made it and it is empty."""
    path = entry.last_mount_path
    if path is not None and path in entry.made_directories:
        await seal(core.machine, path, write)
