"""Superblocks that a stranger wrote: beside them a healthy array is told as if they were not."""

from __future__ import annotations

import asyncio
import re

import pytest
from backy_mdadm import examine

from backy_core.sdk.errors import SystemFailure
from backy_core.sdk.models import PoolReport, Signature
from backy_core.testing.hostile import crafted

from .sample_probe import Outcome, SampleProbe, line, reports, unreadable

HEALTHY = SampleProbe("raid1x2-stopped")
MODEL = HEALTHY.blocks["ubda"]
(UUID,) = {stamp.uuid for stamp in HEALTHY.signatures}
THEIRS = "11111111-1111-1111-1111-111111111111"
"""Asked for before ours."""


class Beside(SampleProbe):
    """The healthy pool at rest, or running, and drive ``ubde`` with ``text`` in its superblock."""

    def __init__(self, state: str, text: str, label: str | None = None) -> None:
        super().__init__(state)
        self.blocks["ubde"] = text
        stamp = Signature(device="ubde", type="linux_raid_member", uuid=THEIRS, label=label)
        self.signatures = (stamp, *self.signatures)


def _theirs(text: str = MODEL) -> str:
    return re.sub(
        r"Array UUID : \S+", "Array UUID : " + "11111111:" * 3 + "11111111", text
    ).replace("/dev/ubda:", "/dev/ubde:")


async def _ours(probe: SampleProbe) -> PoolReport:
    (report,) = (report for report in await reports(probe) if report.native_id != THEIRS)
    return report


@pytest.mark.parametrize("state", ["raid1x2-stopped", "raid1x2-clean", "raid1x2-recovering"])
async def test_a_healthy_array_is_told_as_if_they_were_not(state: str) -> None:
    alone = await _ours(SampleProbe(state))
    head, _, body = _theirs().partition("\n")
    for text in crafted(body, 60):
        assert await _ours(Beside(state, f"{head}\n{text}\n")) == alone, text


@pytest.mark.parametrize(
    "name",
    [
        "x\n/dev/ubda:\n",
        "\n/dev/ubda:\nEvents : 999999",
        "x\n/dev/ubdb:\nUUID : 1",
        "x\nChecksum : 1 - expected 2",
        "x\nRaid Devices : 4294967295",
        "x\nDevice Role : Active device 7",
    ],
)
async def test_a_name_with_line_breaks_speaks_for_nobody_else(name: str) -> None:
    """mdadm prints the 32 bytes of a name as they are."""
    assert len(name) <= 32
    alone = await _ours(SampleProbe("raid1x2-stopped"))
    text = re.sub(r"Name : .*", lambda _: f"Name : {name}", _theirs())
    assert text != _theirs()
    assert await _ours(Beside("raid1x2-stopped", text, label=name)) == alone


async def test_a_superblock_of_another_array_than_the_signature_tells_is_none() -> None:
    """A drive may have two superblocks, and each tool may read a different one."""
    probe = Beside("raid1x2-stopped", MODEL.replace("/dev/ubda:", "/dev/ubde:"))
    lines = {report.native_id: line(report) for report in await reports(probe)}
    assert lines == {UUID: line(await _ours(SampleProbe("raid1x2-stopped")))}


async def test_crafted_members_of_the_pool_itself_raise_nothing() -> None:
    for text in crafted(MODEL, 60, seed=1):
        probe = SampleProbe("raid1x2-stopped")
        probe.blocks["ubda"] = text
        try:
            reported = await reports(probe)
        except SystemFailure:
            continue
        assert all(member.state for report in reported for member in report.members)


async def test_crafted_stderr_raises_nothing() -> None:
    for words in crafted("mdadm: No md superblock detected on /dev/ubde.\n", 30):

        class Told(Beside):
            async def run(self, *argv: str) -> Outcome:
                done = await super().run(*argv)
                return Outcome(done.code, done.stdout, words)  # noqa: B023

        alone = await _ours(SampleProbe("raid1x2-stopped"))
        assert await _ours(Told("raid1x2-stopped", "")) == alone


async def test_crafted_mdstat_raises_nothing() -> None:
    """The kernel's own words, which hold nothing of a stranger's but how his array is made."""
    for text in crafted(SampleProbe("raid1x2-recovering").files["/proc/mdstat"], 60):
        probe = SampleProbe("raid1x2-recovering")
        probe.files["/proc/mdstat"] = text
        try:
            await reports(probe)
        except SystemFailure:
            continue


class Broken(Beside):
    """mdadm crashes, or does not end, when it comes to the stranger's drive."""

    def __init__(self, how: str) -> None:
        super().__init__("raid1x2-stopped", _theirs())
        self.how = how

    async def run(self, *argv: str) -> Outcome:
        if "/dev/ubde" not in argv:
            return await super().run(*argv)
        if self.how == "hangs":
            await asyncio.sleep(60)
        before = argv[: argv.index("/dev/ubde")]
        return Outcome(-11, (await super().run(*before)).stdout if before[3:] else "")


@pytest.mark.parametrize("how", ["crashes", "hangs"])
async def test_a_superblock_that_ends_mdadm_ends_it_for_nobody_else(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examine, "_TOGETHER_S", 0.05)
    monkeypatch.setattr(examine, "_ALONE_S", 0.05)
    assert await _ours(Broken(how)) == await _ours(SampleProbe("raid1x2-stopped"))
    reasons = await unreadable(Broken(how))
    words = "did not finish reading" if how == "hangs" else "no valid superblock"
    assert list(reasons) == ["ubde"] and words in reasons["ubde"]
