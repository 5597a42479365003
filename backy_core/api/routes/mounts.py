"""Routes of mounts: usage of a pool's filesystem, and processes that hold it."""

from __future__ import annotations

from quart import Response

from backy_core.api.replies import agent, process_list, process_replies, reply
from backy_core.api.routing import BASE_PATH, Routes, endpoint
from backy_core.api.wire.base import percent
from backy_core.api.wire.drives import MountReply, MountSizeReply, ProcessList
from backy_core.store.keys import Scope

routes = Routes(BASE_PATH)


@endpoint(routes, "GET", "/mounts/<mount:mount_path>", scope=Scope.READ, replies={200: MountReply})
async def get_mount(mount_path: str) -> Response:
    """Prove which pool is mounted at a path, and list the processes that hold it."""
    entry, mount = await agent().pools.mounted_pool(mount_path)
    return reply(
        MountReply(
            processes=process_replies(await agent().pools.processes(entry.guid)),
            pool_group_guid=entry.guid,
            label=entry.label,
            mount_path=mount.path,
            source=mount.source,
            filesystem=mount.fstype,
            read_only=mount.read_only,
        )
    )


@endpoint(
    routes,
    "GET",
    "/mounts/<mount:mount_path>/processes",
    scope=Scope.READ,
    replies={200: ProcessList},
)
async def get_mount_processes(mount_path: str) -> Response:
    """List the processes that hold a pool's mount, by its path."""
    entry, _ = await agent().pools.mounted_pool(mount_path)
    return reply(process_list(await agent().pools.processes(entry.guid)))


@endpoint(
    routes,
    "GET",
    "/mounts/<mount:mount_path>/size",
    scope=Scope.READ,
    replies={200: MountSizeReply},
)
async def get_mount_size(mount_path: str) -> Response:
    """Show how full a pool's filesystem is."""
    usage = await agent().pools.mount_usage(mount_path)
    return reply(
        MountSizeReply(
            size=usage.size,
            used=usage.used,
            available=usage.available,
            use_percent=percent(usage.use_percent),
        )
    )
