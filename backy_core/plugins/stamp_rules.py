"""Check that stamps are unique to a pool.

After a crash the core wipes drives by their stamps, without asking the backend again. A stamp that
another pool's drives have too would wipe those as well.
"""

from __future__ import annotations

from collections.abc import Mapping

from backy_core.sdk.errors import PlanRefused
from backy_core.sdk.models import BackendInfo, PoolReport, PoolSpec, SignatureMatch
from backy_core.sdk.plan import BackendPlan, WipeMember

PARTITION_TABLES = frozenset(("gpt", "PMBR", "dos", "sun", "sgi", "bsd", "mac", "atari"))
"""What may lie around a stamp: none has content of its own."""

HINT = (
    "Let the uuid or the label of each stamp be or contain PoolSpec.identity; where the format "
    "has no room for it, derive the uuid from the identity."
)
_TELLING = 8
"""Letters from which on an identity is not in another text by accident."""
_NEXT = str.maketrans("0123456789abcdefABCDEF", "1234567890bcdefaBCDEFA")


def check_stamps(info: BackendInfo, plan: BackendPlan) -> None:
    """Check stamps by the plan alone. Raises :class:`PlanRefused`."""
    for stamp in plan.stamps:
        if not stamp.uuid and not stamp.label:
            raise PlanRefused(
                f"A stamp of type {stamp.type} has neither uuid nor label, so the drives of every "
                "pool match it",
                hint=HINT,
            )
        if stamp.type not in info.signature_types:
            raise PlanRefused(
                f"A stamp has the type {stamp.type}, which {info.name} did not declare",
                hint="Name it in BackendInfo.signature_types.",
            )
    for match in plan.enclosing:
        if match.type not in PARTITION_TABLES:
            raise PlanRefused(
                f"`enclosing` names {match.type}, which is not a partition table and may be data",
                hint="Only the partition table that the tool makes belongs there.",
            )
    _check_wipes(plan)


def _check_wipes(plan: BackendPlan) -> None:
    """Check that steps wipe only drives with a stamp of the plan."""
    own = {*plan.stamps, *plan.enclosing}
    for step in plan.steps:
        for action in (step.run, *step.undo):
            strange = [m for m in getattr(action, "bears", ()) if m not in own]
            if isinstance(action, WipeMember) and strange:
                raise PlanRefused(
                    f"Step {step.id} may wipe a drive that holds {strange[0].type}, which is none "
                    "of the plan's stamps",
                    hint="Take `bears` from the plan's stamps and `enclosing`.",
                )


def unproven(
    plan: BackendPlan, pool: PoolSpec, report: PoolReport | None
) -> tuple[SignatureMatch, ...]:
    """Stamps that do not show the pool's identity by themselves.

    A member that the report names by its own signature's UUID is the pool's, as its tools say.
    """
    identities = {_plain(pool.identity), _plain(pool.guid)}
    handles = {member.handle for member in report.members if member.handle} if report else set()
    return tuple(
        stamp
        for stamp in plan.stamps
        if stamp.uuid not in handles and not any(_shows(stamp, identity) for identity in identities)
    )


def of_another_pool(call: Mapping[str, object]) -> dict[str, object]:
    """The same question about a pool with another identity, in identifiers of the same form."""
    arguments = dict(call)
    pool, report = call["pool"], call.get("report")
    if isinstance(pool, PoolSpec):
        arguments["pool"] = pool.model_copy(
            update={"guid": _other(pool.guid), "native_id": _other(pool.native_id)}
        )
    if isinstance(report, PoolReport):
        arguments["report"] = report.model_copy(
            update={"guid": _other(report.guid), "native_id": _other(report.native_id)}
        )
    return arguments


def refuse_shared(stamps: tuple[SignatureMatch, ...], other_plan: BackendPlan) -> None:
    """Raise :class:`PlanRefused` for a stamp that another pool's plan has as well."""
    for stamp in stamps:
        if stamp in other_plan.stamps:
            named = f"uuid {stamp.uuid}" if stamp.uuid else f"label {stamp.label!r}"
            raise PlanRefused(
                f"The stamp of type {stamp.type} with {named} is the same for every pool, so it "
                "does not carry the pool's identity",
                hint=HINT,
            )


def _shows(stamp: SignatureMatch, identity: str) -> bool:
    texts = [_plain(text) for text in (stamp.uuid, stamp.label) if text]
    if len(identity) < _TELLING:
        return identity in texts
    return any(identity in text for text in texts)


def _plain(text: str) -> str:
    """Letters and digits alone: tools put dashes and colons into a UUID in ways of their own."""
    return "".join(letter for letter in text.lower() if letter.isalnum())


def _other(text: str | None) -> str | None:
    return text and text.translate(_NEXT)
