"""Volume groups that a stranger made: beside them a healthy pool is told as if they were not."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

from backy_core.sdk.errors import SystemFailure
from backy_core.sdk.models import PoolReport, Signature
from backy_core.testing.hostile import ODD_VALUES, crafted

from .lvm_sample_probe import SAMPLES, SampleProbe, reports

NATIVE = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
_OURS = "backy-0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
_UUIDS = {
    "111111-1111-1111-1111-1111-1111-111111": "555555-5555-5555-5555-5555-5555-555555",
    "222222-2222-2222-2222-2222-2222-222222": "666666-6666-6666-6666-6666-6666-666666",
}
_NODES = {"/dev/ubda": "/dev/ubde", "/dev/ubdb": "/dev/ubdf"}


def _theirs() -> dict[str, Any]:
    text = (SAMPLES / "foreign-two.json").read_text()
    for old, new in (_UUIDS | _NODES).items():
        text = text.replace(old, new)
    (section,) = json.loads(text)["report"]
    return dict(section)


class Beside(SampleProbe):
    """The healthy pool, and another group on ``ubde`` and ``ubdf``."""

    def __init__(self, section: dict[str, Any]) -> None:
        super().__init__("raid1-active")
        document = json.loads(self.text)
        document["report"].append(section)
        self.text = json.dumps(document)
        theirs = zip(("ubde", "ubdf"), _UUIDS.values(), strict=True)
        self.signatures += tuple(
            Signature(device=device, type="LVM2_member", uuid=uuid) for device, uuid in theirs
        )


def _variants(count: int) -> Iterator[dict[str, Any]]:
    """Rows lost, doubled, and with values that LVM should never print."""
    chance = random.Random(7)
    for _ in range(count):
        section = copy.deepcopy(_theirs())
        for _ in range(chance.randint(1, 5)):
            kind = chance.choice(sorted(section))
            if not section[kind]:
                continue
            row = chance.choice(section[kind])
            match chance.randrange(6):
                case 0:
                    section[kind].remove(row)
                case 1:
                    section[kind].append(dict(row))
                case 2 if row:
                    row.pop(chance.choice(sorted(row)))
                case 3 if row:
                    row[chance.choice(sorted(row))] = chance.choice((None, 7, [], {"a": 1}))
                case _ if row:
                    row[chance.choice(sorted(row))] = chance.choice(ODD_VALUES)
        yield section


async def _healthy(probe: SampleProbe) -> PoolReport:
    (report,) = (report for report in await reports(probe) if report.native_id == NATIVE)
    return report


async def test_a_healthy_pool_is_told_as_if_they_were_not() -> None:
    alone = await _healthy(SampleProbe("raid1-active"))
    assert len(await reports(Beside(_theirs()))) == 2
    for section in _variants(200):
        assert await _healthy(Beside(section)) == alone, section


async def test_one_that_bears_the_name_of_ours_does_not_take_its_place() -> None:
    section = _theirs()
    section["vg"][0]["vg_name"] = _OURS
    alone = await _healthy(SampleProbe("raid1-active"))
    reported = await reports(Beside(section))
    assert alone in reported and len(reported) == 2
    assert all(not report.usable or report.guid is None for report in reported if report != alone)


async def test_a_report_that_is_none_is_a_clean_failure() -> None:
    text = (SAMPLES / "raid1-active.json").read_text()
    for spoilt in crafted(text, 60):
        probe = SampleProbe("raid1-active")
        probe.text = spoilt
        try:
            await reports(probe)
        except SystemFailure:
            continue
