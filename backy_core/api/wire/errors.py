"""The error envelope."""

from __future__ import annotations

from pydantic import Field

from backy_core.api.wire.base import ReplyModel, absent


class ErrorBody(ReplyModel):
    """``message`` is one sentence a person can act on; ``details`` says what was seen."""

    code: str
    message: str
    details: str | None = Field(default=None, exclude_if=absent)


class ErrorReply(ReplyModel):
    """Every reply with a status of 400 or more. ``busy`` is there with ``POOL_BUSY`` alone."""

    error: ErrorBody
    busy: bool | None = Field(default=None, exclude_if=absent)
