"""Labels that a stranger wrote: beside them a healthy zpool is told as if they were not."""

from __future__ import annotations

import pytest

from backy_core.sdk.errors import SystemFailure
from backy_core.sdk.models import PoolReport, Signature
from backy_core.testing.hostile import crafted

from .test_zfs_json import JsonProbe
from .zfs_sample_probe import LABELS, SampleProbe, reports, sample

THEIRS = "77777777777777777777"
MODEL = LABELS["vda1"].replace("13660010131292710373", THEIRS).replace("'tank'", "'evil'")


def _probe(state: str, *crafted_labels: tuple[str, str]) -> SampleProbe:
    """The healthy zpool imported, or at rest; each further label on a drive of its own, under the
    name that libblkid reads."""
    text = sample("openzfs-mirror-online.status") if state == "imported" else ""
    labels = {f"vd{chr(ord('e') + n)}1": label for n, (_, label) in enumerate(crafted_labels)}
    probe = SampleProbe(text, LABELS | labels)
    names = dict(zip(labels, (name for name, _ in crafted_labels), strict=True))
    probe.signatures = tuple(
        Signature(
            device=signature.device,
            type=signature.type,
            uuid=THEIRS,
            label=names[signature.device],
            member="7",
        )
        if signature.device in names
        else signature
        for signature in probe.signatures
    )
    return probe


async def _healthy(probe: SampleProbe) -> PoolReport:
    (report,) = (report for report in await reports(probe) if report.native_id != THEIRS)
    return report


@pytest.mark.parametrize("state", ["imported", "at rest"])
@pytest.mark.parametrize("name", ["evil", "tank", "", "x\u202ey", "x" * 255])
async def test_a_healthy_zpool_is_told_as_if_they_were_not(state: str, name: str) -> None:
    alone = await _healthy(_probe(state))
    for text in crafted(MODEL, 40):
        beside = await _healthy(_probe(state, (name, text)))
        assert beside == alone, text


@pytest.mark.parametrize("state", ["imported", "at rest"])
async def test_crafted_members_of_the_zpool_itself_raise_nothing(state: str) -> None:
    for text in crafted(LABELS["vdb1"], 60, seed=1):
        probe = _probe(state)
        probe._labels["vdb1"] = text
        try:
            await reports(probe)
        except SystemFailure:
            continue


async def test_a_crafted_status_is_a_clean_failure() -> None:
    for text in crafted(sample("openzfs-mirror-online.status"), 60):
        try:
            await reports(SampleProbe(text, LABELS))
        except SystemFailure:
            continue


async def test_a_crafted_json_status_is_a_clean_failure() -> None:
    for text in crafted(sample("openzfs23-mirror-online.json"), 60):
        probe = JsonProbe("mirror-online")
        probe._json = text
        try:
            await reports(probe)
        except SystemFailure:
            continue
