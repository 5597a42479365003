"""Pools in every condition, as the agent tells of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from backy_core.sdk.events import OperationRecord, PoolChange, PoolDrive, RememberedPool
from backy_core.sdk.models import DriveId, MemberReport, MemberState, PoolReport

GUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
NOW = datetime(2026, 11, 29, 18, 20, tzinfo=UTC)
DRIVES = (
    PoolDrive(serial="WD-1", size=4_000_787_030_016, model="WDC WD40EFRX", label="top"),
    PoolDrive(serial="WD-2", size=4_000_787_030_016, model="WDC WD40EFRX"),
)


def report(*states: MemberState, **changes: Any) -> PoolReport:
    """A running pool whose members are in these states; ``missing`` ones are not connected."""
    members = tuple(
        MemberReport(
            device=None if state == "missing" else "sd" + "ab"[number],
            drive=None
            if state == "missing"
            else DriveId(serial=DRIVES[number].serial, wwn=None, size=4_000_787_030_016),
            state=state,
        )
        for number, state in enumerate(states)
    )
    whole = all(state == "active" for state in states)
    fields = {
        **{"native_id": GUID, "guid": GUID, "level": "raid1", "presence": "active"},
        **{"health": "active" if whole else "degraded", "degraded": not whole},
        **{"expected_members": 2, "members": members},
        **changes,
    }
    return PoolReport.model_validate(fields)


def change(after: PoolReport | None, at: datetime = NOW, **pool: Any) -> PoolChange:
    """The pool as remembered, mounted unless ``pool`` says otherwise."""
    remembered = {
        **{"guid": GUID, "label": "shelf", "should_be_mounted": True, "busy": False},
        **{"drives": DRIVES, **pool},
    }
    return PoolChange(
        backend="mdadm",
        seen_at=at,
        before=None,
        after=after,
        pool=RememberedPool.model_validate(remembered),
    )


def operation(kind: str = "mount", outcome: str = "failed", **changes: Any) -> OperationRecord:
    fields = {
        **{"id": "4c1f", "kind": kind, "pool_guid": GUID, "pool_label": "shelf"},
        **{"outcome": outcome, "started_at": NOW, "finished_at": NOW},
        **{"step": 1, "steps": 3, "step_title": "Assembling"},
        **changes,
    }
    if outcome == "failed":
        fields = {"error_code": "SYSTEM_ERROR", "error_message": "mdadm failed", **fields}
    return OperationRecord.model_validate(fields)


WHOLE = report("active", "active")
FAILED = report("active", "failed")
PULLED = report("active", "missing")
REBUILDING = report("active", "rebuilding", health="recovering")
FIRST_SYNC = report("active", "active", health="resync", sync_percent=3.0)
CHECK = report("active", "active", health="check", sync_percent=3.0)
