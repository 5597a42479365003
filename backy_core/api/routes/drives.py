"""Whole drives: what there is, what it is used for, what must not be touched."""

from __future__ import annotations

from quart import Response

from backy_core.api.content import Content, unless_known
from backy_core.api.detached_calls import carry_out
from backy_core.api.replies import agent, drive_reply, process_replies, reply
from backy_core.api.routing import BASE_PATH, Routes, endpoint
from backy_core.api.wire.base import SuccessMessage
from backy_core.api.wire.drives import DriveList, DriveStatusReply, ProtectionReply
from backy_core.pools.drive_service import ListedDrives
from backy_core.store.keys import Scope

routes = Routes(BASE_PATH)


@endpoint(routes, "GET", "/drives", scope=Scope.READ, replies={200: DriveList}, tagged=True)
async def list_drives() -> Response:
    """List whole drives in the shape of lsblk."""
    drives = await agent().drives_service.list()
    return unless_known(drives.once(_content))


def _content(drives: ListedDrives) -> Content:
    model = DriveList(blockdevices=tuple(drive_reply(listed) for listed in drives))
    return Content.of_model(model)


@endpoint(
    routes,
    "GET",
    "/drives/<serial:serial>/status",
    scope=Scope.READ,
    replies={200: DriveStatusReply},
)
async def get_drive_status(serial: str) -> Response:
    """Show what a drive is used for."""
    status = await agent().drives_service.status(serial)
    return reply(
        DriveStatusReply(
            status=status.status,
            state=status.status,
            in_pool=status.pool_guid is not None,
            pool_group_guid=status.pool_guid,
            pool_id=status.device,
            md_device_name=status.device,
            mount_point=status.mount_point,
            processes=process_replies(status.processes),
        )
    )


@endpoint(routes, "POST", "/drives/refresh", scope=Scope.OPERATE, replies={200: SuccessMessage})
async def refresh_drives() -> Response:
    """Scan the drives again, or join a running scan."""
    await carry_out(agent().drives_service.refresh())
    return reply(SuccessMessage(message="The drives were scanned again"))


@endpoint(
    routes,
    "POST",
    "/drives/<serial:serial>/blink",
    scope=Scope.OPERATE,
    replies={200: SuccessMessage},
)
async def blink_drive(serial: str) -> Response:
    """Make a drive's activity light blink by reading it for a while, so that a person finds it."""
    seconds = await agent().drives_service.blink(serial)
    return reply(SuccessMessage(message=f"Drive {serial} is read in bursts for {seconds:.0f} s"))


@endpoint(
    routes,
    "PUT",
    "/drives/<serial:serial>/protection",
    scope=Scope.ADMIN,
    replies={200: ProtectionReply},
)
async def protect_drive(serial: str) -> Response:
    """Refuse a drive for every destructive call from now on."""
    await carry_out(agent().drives_service.protect(serial))
    return reply(ProtectionReply(serial=serial, protected=True))


@endpoint(
    routes,
    "DELETE",
    "/drives/<serial:serial>/protection",
    scope=Scope.ADMIN,
    replies={200: ProtectionReply},
)
async def unprotect_drive(serial: str) -> Response:
    """Lift a drive's protection."""
    await carry_out(agent().drives_service.unprotect(serial))
    return reply(ProtectionReply(serial=serial, protected=False))
