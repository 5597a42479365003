"""Troubles, present and near, and their repair."""

from __future__ import annotations

from quart import Response

from backy_core.api.replies import agent, reply
from backy_core.api.routes.pool_life import answer, commands_reply, planned
from backy_core.api.routing import BASE_PATH, Routes, endpoint
from backy_core.api.wire.doctor import (
    AdvisedRequest,
    ExaminationReply,
    FindingReply,
    RepairBody,
)
from backy_core.api.wire.operations import AcceptedReply
from backy_core.api.wire.pool_life import CommandsAnswer
from backy_core.api.wire.pool_requests import DryRunQuery
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


@endpoint(
    routes,
    "POST",
    "/doctor/repair",
    scope=Scope.ADMIN,
    body=RepairBody,
    query=DryRunQuery,
    replies={200: CommandsAnswer, 202: AcceptedReply},
)
async def repair(data: RepairBody, query_args: DryRunQuery) -> Response:
    """Repair what the doctor found, or with dryRun=true say how."""
    if query_args.dry_run:
        steps = await agent().doctor.plan_repair(data.check, data.subject)
        return planned(steps)
    return await answer(
        agent().doctor.repair(data.check, data.subject, data.confirm), commands_reply
    )


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
        repairable=finding.repair is not None,
    )


def _advised(hint: Hint) -> AdvisedRequest:
    request = request_of(hint)
    return AdvisedRequest(
        verb=hint.verb, subject=hint.subject, method=request.method, path=request.path
    )
