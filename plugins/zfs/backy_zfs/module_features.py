"""Features by the loaded module: those that it supports, and those that imported zpools use."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from backy_core.sdk.models import PoolReport, Probe, Unreadable
from backy_zfs import features, queries
from backy_zfs.datasets import answers

_SUPPORTED = "/sys/module/zfs/features.pool"


async def with_features(
    probe: Probe, answer: Sequence[PoolReport | Unreadable]
) -> Sequence[PoolReport | Unreadable]:
    """The reports, with every active feature of an imported zpool, of which labels name a part, and
    with whether this machine supports it. Reports of zfs-fuse, which has no features, stay as they
    are."""
    supported = frozenset(map(features.short, await probe.listdir(_SUPPORTED)))
    if not supported:
        return answer
    reports = [report for report in answer if isinstance(report, PoolReport)]
    active = {}
    if supported.difference(features.OF_OLDEST):
        active = await _active(
            probe, [pool.name for pool in reports if answers(pool) and pool.name]
        )
    return [
        _completed(report, active, supported) if isinstance(report, PoolReport) else report
        for report in answer
    ]


def _completed(
    report: PoolReport, active: Mapping[str, Sequence[str]], supported: Collection[str]
) -> PoolReport:
    names = active.get(report.name or "") if report.presence == "active" else None
    requires = report.requires if names is None else features.required(names)
    if requires is not None:
        requires = tuple(
            requirement.model_copy(update={"supported": features.name_of(requirement) in supported})
            for requirement in requires
        )
    return report.model_copy(update={"requires": requires})


async def _active(probe: Probe, zpools: Sequence[str]) -> dict[str, list[str]]:
    """Active features by zpool; none where the tools do not tell."""
    if not zpools:
        return {}
    outcome = await probe.run(*queries.PROPERTIES, *zpools)
    return features.active(outcome.stdout) if outcome.code == 0 else {}
