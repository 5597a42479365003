"""Reports from what ``zpool status -j`` prints, from OpenZFS 2.3 on."""

from __future__ import annotations

import json

import pytest

from backy_core.sdk.errors import SystemFailure
from backy_core.sdk.models import Signature

from .zfs_sample_probe import Outcome, SampleProbe, line, one, reports, sample, stamp, unreadable


class JsonProbe(SampleProbe):
    """OpenZFS 2.3: members by their guids. ``answer`` replaces what ``zpool status -j`` says."""

    answer: Outcome | None = None

    def __init__(self, name: str, devices: str = "ab") -> None:
        labels = {f"vd{device}1": sample(f"openzfs23-mirror-{device}.label") for device in devices}
        super().__init__(sample("openzfs23-mirror-online.status"), labels)
        self._json = sample(f"openzfs23-{name}.json")
        self.signatures = tuple(
            Signature(
                device=device,
                type="zfs_member",
                uuid=_in_label(text, "pool_guid"),
                label="m",
                member=_in_label(text, "guid"),
            )
            for device, text in labels.items()
        )

    async def read(self, *paths: str) -> tuple[str | None, ...]:
        return tuple("2.3.2-2\n" if path.endswith("zfs/version") else None for path in paths)

    async def run(self, *argv: str) -> Outcome:
        if argv != ("zpool", "status", "-j", "-p"):
            return await super().run(*argv)
        self.commands.append(argv)
        return self.answer or Outcome(0, self._json)


def _in_label(text: str, field: str) -> str:
    return next(line.split()[1] for line in text.splitlines() if f"    {field}: " in line)


async def test_json_tells_members_and_the_pool_by_their_guids() -> None:
    probe = JsonProbe("mirror-online")
    report = await one(probe)
    assert line(report) == "mirror active/active whole [vda1:active vdb1:active]"
    assert report.native_id == probe.signatures[0].uuid
    assert [member.handle for member in report.members] == [
        signature.member for signature in probe.signatures
    ]
    label = ("zdb", "-l", "/dev/vda1")
    assert probe.commands == [("zpool", "status", "-j", "-p"), label], "and nothing else is asked"


async def test_json_and_a_pulled_drive() -> None:
    report = await one(JsonProbe("mirror-online", "a"))
    assert line(report) == "mirror active/degraded degraded [vda1:active -:missing]"


async def test_json_of_a_scrub() -> None:
    report = await one(JsonProbe("mirror-scrubbing"))
    assert (report.health, report.sync_percent, report.sync_minutes) == ("check", 0.0, None)


async def test_programs_older_than_the_module_are_read_as_text() -> None:
    probe = JsonProbe("mirror-online")
    probe.answer = Outcome(2, "", "invalid option 'j'")
    assert (await reports(probe))[0].presence == "active"
    assert probe.commands[:2] == [("zpool", "status", "-j", "-p"), ("zpool", "status")]


@pytest.mark.parametrize(
    "answer", [Outcome(0, '{"pools": {"m": '), Outcome(0, "{}"), Outcome(0, ""), Outcome(1, "")]
)
async def test_half_an_answer_in_json_is_none(answer: Outcome) -> None:
    probe = JsonProbe("mirror-online")
    probe.answer = answer
    with pytest.raises(SystemFailure):
        await reports(probe)


async def test_one_odd_pool_in_the_json_hides_no_other() -> None:
    probe = JsonProbe("mirror-online")
    document = json.loads(sample("openzfs23-mirror-online.json"))
    document["pools"]["odd"] = {**document["pools"]["m"], "name": "odd", "vdevs": None}
    probe.answer = Outcome(0, json.dumps(document))
    whole = probe.signatures
    probe.signatures = (*whole, stamp("vdc1", "5", "55", "odd"))
    assert [(report.name, report.presence) for report in await reports(probe)] == [("m", "active")]
    assert "odd cannot be read" in (await unreadable(probe))["vdc1"]
    probe.signatures = whole
    with pytest.raises(SystemFailure):
        await reports(probe)
