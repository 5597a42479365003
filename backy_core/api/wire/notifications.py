"""What a test of the notifications answers."""

from __future__ import annotations

from backy_core.api.wire.base import ReplyModel, Success


class TargetAnswerReply(ReplyModel):
    """The answer of one target. ``reason``: why the message was not delivered."""

    target: str
    delivered: bool
    reason: str | None


class NotificationTestReply(Success):
    """The answer of every target; empty if none is set."""

    targets: tuple[TargetAnswerReply, ...]
