"""Replies that describe pools. Each state has exactly its own fields.

The detail of a pool is a union told apart by ``state``; as a root model it keeps the exact
fields of each state in the replies and in the OpenAPI document.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from backy_core.api.wire.base import (
    Health,
    MemberStatus,
    Percent,
    ReplyModel,
    RootReply,
    Time,
    absent,
)
from backy_core.sdk.models import Portability


class MemberReply(ReplyModel):
    """A member drive; ``state`` equals ``status``."""

    serial: str
    label: str | None
    status: MemberStatus
    state: MemberStatus


class ListedMemberReply(MemberReply):
    """A member drive in the pool list."""

    is_connected: bool


class OpensOnReply(ReplyModel):
    """The least versions that open a pool, as far as was ``checked``. ``kernel`` is null where a
    feature is in use of which nobody knows what opens it; ``because`` names what takes more than
    the oldest supported system has."""

    kernel: str | None
    tools: dict[str, str]
    because: tuple[str, ...]
    checked: tuple[str, ...]


class CreatingPool(ReplyModel):
    """A creation is running."""

    state: Literal["creating"] = "creating"
    pool_status: None = None
    drives: tuple[MemberReply, ...] = ()


class FailedPool(ReplyModel):
    """Its creation failed and was rolled back."""

    state: Literal["failed"] = "failed"
    error_message: str


class DeletedPool(ReplyModel):
    """It was torn down a short while ago."""

    state: Literal["deleted"] = "deleted"
    pool_status: None = None
    drives: tuple[MemberReply, ...] = ()


class StandingPool(ReplyModel):
    """Fields of every existing pool. Sizes are bytes; the estimate is in minutes. ``portability``
    is null for a pool made elsewhere, ``opensOn`` while it is unknown."""

    state: str  # narrowed below; here so that it comes first
    pool_status: Health | None
    size: int
    used: int
    available: int
    use_percent: Percent
    mount_path: str | None
    drives: tuple[MemberReply, ...]
    pool_group_guid: str
    label: str
    backend: str | None
    level: str | None
    filesystem: str | None
    pool_id: str | None
    md_device_name: str | None
    created_at: Time | None
    portability: Portability | None
    opens_on: OpensOnReply | None
    resync_percentage: float | None = Field(default=None, exclude_if=absent)
    resync_time_estimate: float | None = Field(default=None, exclude_if=absent)
    stale_because: str | None = Field(default=None, exclude_if=absent)


class ReadyPool(StandingPool):
    """The pool exists and is mounted. ``error_message``: it takes no data, and why."""

    state: Literal["ready"] = "ready"
    error_message: str | None = Field(default=None, exclude_if=absent)


class UnmountedPool(StandingPool):
    """The pool exists and is not mounted; its drives may be on a shelf. ``error_message``: it
    failed, and what to do."""

    state: Literal["unmounted"] = "unmounted"
    error_message: str | None = Field(default=None, exclude_if=absent)


class ErrorPool(StandingPool):
    """The pool should be usable and is not."""

    state: Literal["error"] = "error"
    error_message: str


class PoolDetail(RootReply):
    """A pool; which fields there are depends on ``state``."""

    root: Annotated[
        CreatingPool | ReadyPool | UnmountedPool | ErrorPool | FailedPool | DeletedPool,
        Field(discriminator="state"),
    ]


class ListedPool(ReplyModel):
    """Fields of every pool in the list, in any state. ``status`` equals ``poolStatus``."""

    pool_group_guid: str
    label: str
    state: str  # narrowed below
    pool_status: Health | None
    status: Health | None
    pool_id: str | None
    md_device_name: str | None
    is_mounted: bool
    mount_path: str | None
    drive_count: int
    drives: tuple[ListedMemberReply, ...]


class ListedCreatingPool(ListedPool):
    """A creation is running; the drives are the requested ones."""

    state: Literal["creating"] = "creating"


class ListedFailedPool(ListedPool):
    """Its creation failed and was rolled back."""

    state: Literal["failed"] = "failed"
    error_message: str


class ListedDeletedPool(ListedPool):
    """It was torn down a short while ago."""

    state: Literal["deleted"] = "deleted"


class ListedStandingPool(ListedPool):
    """Additional fields of every existing pool in the list."""

    size: int
    used: int
    available: int
    use_percent: Percent
    backend: str | None
    level: str | None
    filesystem: str | None
    created_at: Time | None
    portability: Portability | None
    opens_on: OpensOnReply | None
    resync_percentage: float | None = Field(default=None, exclude_if=absent)
    resync_time_estimate: float | None = Field(default=None, exclude_if=absent)
    stale_because: str | None = Field(default=None, exclude_if=absent)


class ListedReadyPool(ListedStandingPool):
    """The pool exists and is mounted."""

    state: Literal["ready"] = "ready"
    error_message: str | None = Field(default=None, exclude_if=absent)


class ListedUnmountedPool(ListedStandingPool):
    """The pool exists and is not mounted."""

    state: Literal["unmounted"] = "unmounted"
    error_message: str | None = Field(default=None, exclude_if=absent)


class ListedErrorPool(ListedStandingPool):
    """The pool should be usable and is not."""

    state: Literal["error"] = "error"
    error_message: str


ListItem = Annotated[
    ListedCreatingPool
    | ListedReadyPool
    | ListedUnmountedPool
    | ListedErrorPool
    | ListedFailedPool
    | ListedDeletedPool,
    Field(discriminator="state"),
]


class PoolList(RootReply):
    """Pools, each with the fields of its state."""

    root: tuple[ListItem, ...]
