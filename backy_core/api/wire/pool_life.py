"""Replies of the calls that make, change and end pools."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from backy_core.api.wire.base import (
    MemberStatus,
    ReplyModel,
    RootReply,
    Success,
    absent,
)
from backy_core.api.wire.pools import OpensOnReply
from backy_core.sdk.models import Portability


class CreateReply(Success):
    """The creation was accepted and will be carried out or rolled back."""

    pool_group_guid: str
    state: Literal["creating"] = "creating"


class PlannedStepReply(ReplyModel):
    """One step that would run. ``undo`` is null if the step needs none."""

    title: str
    command: str
    undo: str | None
    effect: str


class PlanReply(ReplyModel):
    """The plan that would be run."""

    steps: tuple[PlannedStepReply, ...]


class DryRunReply(Success):
    """Nothing was run and nothing reserved."""

    plan: PlanReply


class CreationPlanReply(PlanReply):
    """``opensOn`` is null where only the pool itself will tell."""

    portability: Portability
    opens_on: OpensOnReply | None


class CreationDryRunReply(Success):
    """Nothing was run and nothing reserved."""

    plan: CreationPlanReply


class MountMemberReply(ReplyModel):
    """A connected member. ``behind``: how far it is behind the newest one, if it is."""

    serial: str
    state: MemberStatus
    behind: str | None


class MountDryRunReply(DryRunReply):
    """As :class:`DryRunReply`, of a mount. ``may_be_lost`` only of one by force."""

    members: tuple[MountMemberReply, ...]
    may_be_lost: str | None = Field(default=None, exclude_if=absent)


class OutputsReply(Success):
    """Lines of command output in order; ``nextOffset`` only if an offset was asked for."""

    outputs: tuple[str, ...]
    next_offset: int | None = Field(default=None, exclude_if=absent)


class MountReply(Success):
    """The pool is mounted."""

    state: Literal["ready"] = "ready"
    mount_path: str | None
    command_outputs: tuple[str, ...]


class MountAnswer(RootReply):
    """The reply to a mount or to its dry run."""

    root: MountReply | MountDryRunReply


class UnmountReply(Success):
    """The pool is unmounted and its device stopped."""

    busy: Literal[False] = False
    state: Literal["unmounted"] = "unmounted"
    command_outputs: tuple[str, ...]


class DeleteReply(Success):
    """The pool is gone. ``message`` names absent drives that still have its stamp."""

    busy: Literal[False] = False
    state: Literal["deleted"] = "deleted"
    command_outputs: tuple[str, ...]
    message: str | None = Field(default=None, exclude_if=absent)


class CommandsReply(Success):
    """It is done; these commands were run. ``message`` only where there is more to say."""

    command_outputs: tuple[str, ...]
    message: str | None = Field(default=None, exclude_if=absent)


class UnmountAnswer(RootReply):
    """The reply to an unmount or to its dry run."""

    root: UnmountReply | DryRunReply


class DeleteAnswer(RootReply):
    """The reply to a deletion or to its dry run."""

    root: DeleteReply | DryRunReply


class CommandsAnswer(RootReply):
    """The reply to any other change or to its dry run."""

    root: CommandsReply | DryRunReply


class RenameReply(Success):
    """The pool's names now."""

    pool_group_guid: str
    label: str
    drive_labels: dict[str, str]


class ImportableReply(ReplyModel):
    """A pool on connected drives that the metadata does not know. ``cannotOpenBecause``: why this
    machine is too old for it; null: it is not, as far as was checked."""

    pool_group_guid: str
    backend: str
    native_id: str
    label: str | None
    level: str | None
    filesystem: str | None
    drives: tuple[str, ...]
    opens_on: OpensOnReply | None
    cannot_open_because: str | None


class ImportableList(RootReply):
    """Pools that could be imported."""

    root: tuple[ImportableReply, ...]


class ImportReply(Success):
    """The pool is known now; nothing was written to its drives."""

    pool_group_guid: str
    label: str
    state: str
    mount_path: str | None


class ValidateReply(Success):
    """The metadata was compared with the drives."""

    message: str
    fixed_entries: int
