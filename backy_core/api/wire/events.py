"""Live events, as the data of Server-Sent Events."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from backy_core.api.wire.base import ReplyModel, RootReply
from backy_core.api.wire.drives import DriveList, DriveReply
from backy_core.api.wire.operations import OperationList, OperationReply
from backy_core.api.wire.pools import ListItem, PoolList

_REASONS = ["connected", "restarted", "gap"]


class SnapshotEvent(ReplyModel):
    """Everything, in the shapes of the lists. ``reason``: the client is new, it knows another
    agent instance, or the events since its last one are not kept any more."""

    reason: Annotated[str, Field(json_schema_extra={"enum": list[Any](_REASONS)})]
    agent_instance: str
    operations: OperationList
    pools: PoolList
    drives: DriveList


class OutputsEvent(ReplyModel):
    """Lines of an operation's outputs; ``offset`` is the number of the first one."""

    operation_id: str
    pool_group_guid: str
    offset: int
    lines: tuple[str, ...]
    next_offset: int


class OperationRemoved(ReplyModel):
    """The operation is not remembered any more."""

    id: str


class PoolRemoved(ReplyModel):
    """The pool is not in the list of pools any more."""

    pool_group_guid: str


class DriveRemoved(ReplyModel):
    """There is no drive with this kernel name any more."""

    name: str


class LiveEvent(RootReply):
    """The data of one event. The field ``event`` of the stream says which it is."""

    root: (
        SnapshotEvent
        | OperationReply
        | OutputsEvent
        | ListItem
        | DriveReply
        | OperationRemoved
        | PoolRemoved
        | DriveRemoved
    )
