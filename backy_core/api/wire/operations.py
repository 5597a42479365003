"""Replies about operations, backends and the agent itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from backy_core.api.wire.base import ReplyModel, RootReply, Success, Time

_STATES = ["running", "succeeded", "failed", "cancelled"]


class ProgressReply(ReplyModel):
    """Step ``step`` of ``steps``; ``percent`` is 100 only at success."""

    step: int
    steps: int
    title: str
    percent: int


class OperationReply(ReplyModel):
    """One piece of long work."""

    id: str
    kind: str
    pool_group_guid: str
    state: Annotated[str, Field(json_schema_extra={"enum": list[Any](_STATES)})]
    progress: ProgressReply
    started_at: Time
    finished_at: Time | None
    error_message: str | None
    agent_instance: str


class OperationList(RootReply):
    """Operations that run or are still remembered."""

    root: tuple[OperationReply, ...]


class AcceptedReply(Success):
    """The operation was accepted, or cancelled; this is how it stands."""

    operation: OperationReply


class LevelReply(ReplyModel):
    """A redundancy level and the numbers of drives it takes; ``max_drives`` null: any number.

    ``parity``: how many drives' worth of it is parity. ``copies``: how many drives hold each block;
    null: all of them.
    """

    name: str
    min_drives: int
    max_drives: int | None
    parity: int
    copies: int | None


class ToolReply(ReplyModel):
    """A program and the Debian package that brings it."""

    name: str
    package: str


class ToolStateReply(ToolReply):
    """A program a backend needs, and whether it is there."""

    installed: bool


class BackendReply(ReplyModel):
    """A backend. The first level and the first filesystem are the defaults; ``default``: so is the
    backend itself, for a pool whose request names none.

    ``origin`` is the distribution it came with; ``problem`` says why its last inspection failed.
    """

    name: str
    default: bool
    version: str
    levels: tuple[LevelReply, ...]
    filesystems: tuple[str, ...]
    capabilities: tuple[str, ...]
    tools_installed: bool
    missing_tools: tuple[ToolReply, ...]
    tools: tuple[ToolStateReply, ...]
    origin: str
    problem: str | None


class FailedPluginReply(ReplyModel):
    """A plugin that could not be loaded, and why."""

    name: str
    reason: str
    origin: str


class BackendsReply(ReplyModel):
    """The backends of this agent."""

    backends: tuple[BackendReply, ...]
    failed_plugins: tuple[FailedPluginReply, ...]


class StatusReply(ReplyModel):
    """The agent runs."""

    status: Literal["Running"] = "Running"
    version: str
    timestamp: Time


class HealthReply(ReplyModel):
    """The agent answers requests."""

    status: Literal["ok"] = "ok"


class MetricsText(RootReply):
    """The text format of Prometheus."""

    root: str
