"""The GUID by which a found pool is imported."""

from __future__ import annotations

import uuid

from backy_core.sdk.models import PoolReport

_NAMESPACE = uuid.UUID("5b1f2a52-7c0b-5d0e-9a44-6f6f1c0c5e11")


def importable_guid(backend: str, report: PoolReport) -> str:
    """The one stamped on the pool, or a stable one derived from the backend's own identity."""
    return report.guid or str(uuid.uuid5(_NAMESPACE, f"{backend}:{report.native_id}"))
