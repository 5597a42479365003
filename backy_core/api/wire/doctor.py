"""What the doctor answers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from backy_core.api.wire.base import ReplyModel

_SEVERITIES = ["error", "warning", "info"]


class AdvisedRequest(ReplyModel):
    """A request that repairs what was found. ``verb`` and ``subject`` are for other edges."""

    verb: str
    subject: str
    method: str
    path: str


class FindingReply(ReplyModel):
    """Something an administrator should know of. ``subject``: a pool's GUID, a drive's serial, a
    path or another name."""

    check: str
    severity: Annotated[str, Field(json_schema_extra={"enum": list[Any](_SEVERITIES)})]
    subject: str
    message: str
    evidence: tuple[str, ...]
    remedy: str | None
    request: AdvisedRequest | None


class ExaminationReply(ReplyModel):
    """All findings, the most severe first."""

    findings: tuple[FindingReply, ...]
