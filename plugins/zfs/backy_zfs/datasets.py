"""List the content of an imported zpool beside the pool's own filesystem, its root."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from backy_core.sdk.models import PoolReport, Probe, Unreadable
from backy_zfs import queries

_UNKNOWN = "datasets that cannot be listed"


async def with_others(
    probe: Probe, reports: Sequence[PoolReport | Unreadable]
) -> list[PoolReport | Unreadable]:
    """The reports, those of imported zpools with what else lies in them. A zpool that has lost
    too many members is not asked: the tools wait for it, maybe for ever."""
    return [
        report.model_copy(update={"others": await _others(probe, report.name)})
        if isinstance(report, PoolReport) and answers(report) and report.name
        else report
        for report in reports
    ]


def answers(report: PoolReport) -> bool:
    """Whether the tools get to it without waiting for drives that are gone."""
    return report.presence == "active" and report.health != "failed"


async def _others(probe: Probe, name: str) -> tuple[str, ...]:
    listed = await probe.run(*queries.DATASETS, name)
    if listed.code != 0:  # whoever deletes the pool must know that nobody could look
        return (_UNKNOWN,)
    return beside_root(name, listed.stdout.splitlines())


def beside_root(name: str, listed: Iterable[str]) -> tuple[str, ...]:
    """A dataset stands for its snapshots; those of the root stand for themselves."""
    datasets = [line.strip() for line in listed]
    below = [
        dataset for dataset in datasets if dataset.startswith(f"{name}/") and "@" not in dataset
    ]
    return (*below, *(dataset for dataset in datasets if dataset.startswith(f"{name}@")))
