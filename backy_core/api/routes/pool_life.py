"""Mounting, unmounting, changing and ending pools."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from pydantic import BaseModel
from quart import Response

from backy_core.api.detached_calls import carry_out
from backy_core.api.replies import accepted, agent, answered_by, plan_reply, reply
from backy_core.api.requests import prefers_async
from backy_core.api.routing import BASE_PATH, Routes, endpoint
from backy_core.api.wire.operations import AcceptedReply
from backy_core.api.wire.pool_life import (
    CommandsAnswer,
    CommandsReply,
    DeleteAnswer,
    DeleteReply,
    DryRunReply,
    ImportReply,
    MountAnswer,
    MountDryRunReply,
    MountMemberReply,
    MountReply,
    RenameReply,
    UnmountAnswer,
    UnmountReply,
)
from backy_core.api.wire.pool_requests import (
    AddDriveBody,
    DeletePoolQuery,
    DryRunQuery,
    ImportBody,
    MountBody,
    RenameBody,
)
from backy_core.api.wording import worded
from backy_core.operations.records import Operation
from backy_core.pools.reading.members import Consent
from backy_core.pools.views import PlannedStep
from backy_core.store.keys import Scope

routes = Routes(BASE_PATH)

Starting = Coroutine[Any, Any, Operation]


async def finished(starting: Starting) -> Operation:
    """Start an operation and see it through; raises the error it ended with."""
    operation = await starting
    answered_by(operation)
    await operation.wait()
    return operation


async def answer(starting: Starting, done: Callable[[Operation], BaseModel]) -> Response:
    """Wait for the operation, or tell a client who prefers so where to watch it."""
    if prefers_async():
        return accepted(await carry_out(starting))
    return reply(done(await carry_out(finished(starting))))


@endpoint(
    routes,
    "POST",
    "/pools/<guid:guid>/mount",
    scope=Scope.OPERATE,
    admin_for={"force": True},
    body=MountBody,
    query=DryRunQuery,
    replies={200: MountAnswer, 202: AcceptedReply},
)
async def mount_pool(guid: str, data: MountBody, query_args: DryRunQuery) -> Response:
    """Assemble a pool by identity and mount it, or with dryRun=true say how."""
    if query_args.dry_run:
        return await _dry_run(guid, data)
    starting = agent().pools.mount(guid, data.mount_path, force=data.force, label=data.label)
    if prefers_async():
        return accepted(await carry_out(starting))
    operation = await carry_out(finished(starting))
    pool = await agent().pools.get(guid)
    return reply(
        MountReply(mount_path=pool.mount_path, command_outputs=tuple(operation.outputs.lines))
    )


async def _dry_run(guid: str, data: MountBody) -> Response:
    planned = await agent().pools.plan_mount(guid, data.mount_path, force=data.force)
    return reply(
        MountDryRunReply(
            plan=plan_reply(planned.steps),
            members=tuple(
                MountMemberReply(serial=member.serial, state=member.state, behind=member.behind)
                for member in planned.members
            ),
            may_be_lost=planned.may_be_lost,
        )
    )


@endpoint(
    routes,
    "DELETE",
    "/pools/<guid:guid>/mount",
    scope=Scope.OPERATE,
    query=DryRunQuery,
    replies={200: UnmountAnswer, 202: AcceptedReply},
)
async def unmount_pool(guid: str, query_args: DryRunQuery) -> Response:
    """Unmount a pool and stop its device, or with dryRun=true say how."""
    if query_args.dry_run:
        return planned(await agent().pools.plan_unmount(guid))
    return await answer(
        agent().pools.unmount(guid),
        lambda operation: UnmountReply(command_outputs=tuple(operation.outputs.lines)),
    )


@endpoint(
    routes,
    "DELETE",
    "/pools/<guid:guid>",
    scope=Scope.ADMIN,
    query=DeletePoolQuery,
    replies={200: DeleteAnswer, 202: AcceptedReply},
)
async def delete_pool(guid: str, query_args: DeletePoolQuery) -> Response:
    """Tear a pool down and wipe its drives, or with dryRun=true say how."""
    wipe, copies, others = query_args.wipe, query_args.wipe_copies, query_args.destroy_others
    if query_args.dry_run:
        consent = Consent(wipe, frozenset(copies), frozenset(others))
        return planned(await agent().pools.plan_delete(guid, consent))
    return await answer(
        agent().pools.delete(guid, wipe=wipe, wipe_copies=copies, destroy_others=others),
        lambda operation: DeleteReply(
            command_outputs=tuple(operation.outputs.lines), message=worded(operation.message)
        ),
    )


@endpoint(
    routes,
    "PATCH",
    "/pools/<guid:guid>",
    scope=Scope.ADMIN,
    body=RenameBody,
    replies={200: RenameReply},
)
async def rename_pool(guid: str, data: RenameBody) -> Response:
    """Change a pool's label or the labels of its drives."""
    pool = await carry_out(agent().pools.rename(guid, data.label, data.drive_labels))
    labels = {drive.serial: drive.label for drive in pool.drives if drive.label is not None}
    return reply(RenameReply(pool_group_guid=guid, label=pool.label, drive_labels=labels))


@endpoint(
    routes,
    "POST",
    "/pools/<guid:guid>/drives/add",
    scope=Scope.ADMIN,
    body=AddDriveBody,
    query=DryRunQuery,
    replies={200: CommandsAnswer, 202: AcceptedReply},
)
async def add_drive(guid: str, data: AddDriveBody, query_args: DryRunQuery) -> Response:
    """Re-add a returned member to a degraded pool, or add a replacement; or with dryRun=true say
    how."""
    request: dict[str, Any] = {
        "serial": data.serial,
        "dev_path": data.dev_path,
        "replaces": data.replaces,
        "wipe": data.wipe,
    }
    if query_args.dry_run:
        return planned(await agent().pools.plan_add_drive(guid, **request))
    return await answer(agent().pools.add_drive(guid, **request), commands_reply)


def planned(steps: Iterable[PlannedStep]) -> Response:
    return reply(DryRunReply(plan=plan_reply(steps)))


def commands_reply(operation: Operation) -> CommandsReply:
    return CommandsReply(
        command_outputs=tuple(operation.outputs.lines), message=worded(operation.message)
    )


@endpoint(
    routes,
    "POST",
    "/pools/<guid:guid>/import",
    scope=Scope.ADMIN,
    body=ImportBody,
    replies={200: ImportReply},
)
async def import_pool(guid: str, data: ImportBody) -> Response:
    """Adopt a pool found on drives without writing to them."""
    pool = await carry_out(agent().pools.import_pool(guid, data.label, data.mount_path))
    return reply(
        ImportReply(
            pool_group_guid=pool.guid,
            label=pool.label,
            state=pool.state.value,
            mount_path=pool.mount_path,
        )
    )
