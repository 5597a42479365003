"""Bodies and replies of the doctor's calls."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from backy_core.api.wire.base import ReplyModel, RequestModel, Text

_SEVERITIES = ["error", "warning", "info"]


class AdvisedRequest(ReplyModel):
    """A request that repairs what was found. ``verb`` and ``subject`` are for other edges."""

    verb: str
    subject: str
    method: str
    path: str


class FindingReply(ReplyModel):
    """Something an administrator should know of. ``subject``: a pool's GUID, a drive's serial, a
    path or another name. ``repairable``: `POST /doctor/repair` repairs it."""

    check: str
    severity: Annotated[str, Field(json_schema_extra={"enum": list[Any](_SEVERITIES)})]
    subject: str
    message: str
    evidence: tuple[str, ...]
    remedy: str | None
    request: AdvisedRequest | None
    repairable: bool


class ExaminationReply(ReplyModel):
    """All findings, the most severe first."""

    findings: tuple[FindingReply, ...]


class RepairBody(RequestModel):
    """A finding to repair. ``confirm`` repeats the subject, where anything is erased."""

    check: Text
    subject: Text
    confirm: Text | None = None
