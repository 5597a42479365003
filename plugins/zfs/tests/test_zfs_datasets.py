"""Content of a zpool beside its root."""

from __future__ import annotations

import pytest
from backy_zfs.datasets import beside_root, with_others

from backy_core.sdk.models import Health, PoolReport, Presence

from .zfs_sample_probe import Outcome, SampleProbe

LISTED = ["m", "m@before", "m/photos", "m/photos@a", "m/photos/2024", "m/disk", "mm/other"]


class ListProbe(SampleProbe):
    code = 0

    async def run(self, *argv: str) -> Outcome:
        self.commands.append(argv)
        assert argv[:2] == ("zfs", "list") and argv[-1] == "m"
        return Outcome(self.code, "\n".join(LISTED) if self.code == 0 else "")


def test_datasets_stand_for_their_snapshots() -> None:
    assert beside_root("m", LISTED) == ("m/photos", "m/photos/2024", "m/disk", "m@before")
    assert beside_root("m", ["m", ""]) == ()


def _report(presence: Presence, health: Health) -> PoolReport:
    return PoolReport(
        native_id="1",
        guid=None,
        name="m",
        level="mirror",
        presence=presence,
        health=health,
        expected_members=0,
        members=(),
    )


async def test_only_a_zpool_that_answers_is_asked() -> None:
    probe = ListProbe("", {})
    original = [_report("active", "degraded"), _report("stopped", "inactive")]
    original.append(_report("active", "failed"))
    reported = await with_others(probe, original)
    assert [len(report.others) for report in reported if isinstance(report, PoolReport)] == [
        4,
        0,
        0,
    ]
    assert len(probe.commands) == 1


async def test_a_list_that_fails_is_not_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ListProbe, "code", 1)
    (reported,) = await with_others(ListProbe("", {}), [_report("active", "active")])
    assert isinstance(reported, PoolReport) and reported.others == (
        "datasets that cannot be listed",
    )
