"""What is wrong, or soon may be."""

from __future__ import annotations

from quart import Response

from backy_core.api.replies import agent, reply
from backy_core.api.routing import BASE_PATH, Routes, endpoint
from backy_core.api.wire.doctor import AdvisedRequest, ExaminationReply, FindingReply
from backy_core.api.wording import request_of, worded
from backy_core.pools.doctor.doctor import Diagnosis
from backy_core.sdk.advice import Hint
from backy_core.store.keys import Scope

routes = Routes(BASE_PATH)


@endpoint(routes, "GET", "/doctor", scope=Scope.READ, replies={200: ExaminationReply})
async def examine() -> Response:
    """Examine the agent, its pools and drives, and say what is wrong and what to do."""
    diagnoses = await agent().doctor.examine()
    return reply(ExaminationReply(findings=tuple(map(_finding_reply, diagnoses))))


def _finding_reply(diagnosis: Diagnosis) -> FindingReply:
    check, finding = diagnosis
    return FindingReply(
        check=check,
        severity=finding.severity,
        subject=finding.subject,
        message=finding.message,
        evidence=finding.evidence,
        remedy=worded(finding.remedy),
        request=None if finding.hint is None else _advised(finding.hint),
    )


def _advised(hint: Hint) -> AdvisedRequest:
    request = request_of(hint)
    return AdvisedRequest(
        verb=hint.verb, subject=hint.subject, method=request.method, path=request.path
    )
