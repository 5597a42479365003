"""From what the use cases say to what the wire shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from pydantic import BaseModel
from quart import Response, current_app, request

from backy_core.api.agent import Agent
from backy_core.api.requests import StrictRequest
from backy_core.api.routing import BASE_PATH
from backy_core.api.wire.drives import BlockReply, DriveReply, ProcessList, ProcessReply
from backy_core.api.wire.operations import AcceptedReply, OperationReply, ProgressReply
from backy_core.api.wire.pool_life import PlannedStepReply, PlanReply
from backy_core.api.wording import worded
from backy_core.operations.records import Operation
from backy_core.pools.drive_service import ListedDrive
from backy_core.pools.views import PlannedStep
from backy_core.system.blocks import BlockDevice
from backy_core.system.procs import ProcessInfo

EXTENSION = "backy_agent"


def agent() -> Agent:
    """The agent this application serves."""
    served: Agent = current_app.extensions[EXTENSION]
    return served


def current_request() -> StrictRequest:
    """The request itself. Each access through Quart's proxy costs as much as checking the key."""
    proxy: Any = request
    return cast("StrictRequest", proxy._get_current_object())


def reply(model: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """``model`` as a JSON response."""
    text = model.model_dump_json()
    return Response(text, status, headers, content_type="application/json")


def answered_by(operation: Operation) -> None:
    """Name the operation in the audit log."""
    call = current_request().call
    if call is not None:
        call.operation = operation.id


def monitor_headers(operation: Operation | None) -> dict[str, str]:
    """Headers that lead to an operation."""
    if operation is None:
        return {}
    answered_by(operation)
    return {"Link": f'<{BASE_PATH}/operations/{operation.id}>; rel="monitor"'}


def accepted(operation: Operation) -> Response:
    """The 202 for a client that preferred not to wait (RFC 7240)."""
    headers = monitor_headers(operation) | {
        "Location": f"{BASE_PATH}/operations/{operation.id}",
        "Preference-Applied": "respond-async",
    }
    shown = operation_reply(operation, agent().agent_instance)
    return reply(AcceptedReply(operation=shown), 202, headers)


def operation_reply(operation: Operation, agent_instance: str) -> OperationReply:
    done = operation.progress
    return OperationReply(
        id=operation.id,
        kind=operation.kind,
        pool_group_guid=operation.guid,
        state=str(operation.state),
        progress=ProgressReply(
            step=done.step, steps=done.steps, title=done.title, percent=done.percent
        ),
        started_at=operation.started_at,
        finished_at=operation.finished_at,
        error_message=worded(operation.error_message),
        agent_instance=agent_instance,
    )


def plan_reply(steps: Iterable[PlannedStep]) -> PlanReply:
    """The steps of a dry run."""
    return PlanReply(
        steps=tuple(
            PlannedStepReply(
                title=step.title, command=step.command, undo=step.undo, effect=step.effect
            )
            for step in steps
        )
    )


def process_replies(processes: Iterable[ProcessInfo]) -> tuple[ProcessReply, ...]:
    return tuple(_process_reply(process) for process in processes)


def process_list(processes: Iterable[ProcessInfo]) -> ProcessList:
    return ProcessList(processes=process_replies(processes))


def _process_reply(process: ProcessInfo) -> ProcessReply:
    return ProcessReply(
        pid=process.pid,
        command=process.command,
        user=process.user,
        path=process.path,
        name=process.name,
    )


def drive_reply(listed: ListedDrive) -> DriveReply:
    """A whole drive; serial and link are the inventory's, which knows the fall-backs."""
    fields = _block_fields(listed.drive.device) | {
        "serial": listed.drive.id.serial,
        "id_link": listed.drive.id_link,
        "identified_by": listed.drive.identified_by,
    }
    return DriveReply(
        **fields,
        available=listed.available,
        unavailable_because=listed.unavailable_because,
        unavailable_code=listed.unavailable_code,
        pool_group_guid=listed.pool_guid,
        protected=listed.protected,
        sector_size=listed.drive.device.logical_sector,
    )


def drive_json(listed: ListedDrive) -> bytes:
    """An item of the list of drives."""
    return drive_reply(listed).model_dump_json().encode()


def _block_fields(device: BlockDevice) -> dict[str, Any]:
    return {
        "name": device.name,
        "path": device.path,
        "type": device.type,
        "size": device.size,
        "serial": device.serial,
        "vendor": device.vendor,
        "model": device.model,
        "fstype": device.fstype,
        "uuid": device.uuid,
        "mountpoint": device.mountpoint,
        "id_link": device.id_link,
        "children": tuple(BlockReply(**_block_fields(child)) for child in device.children),
    }
