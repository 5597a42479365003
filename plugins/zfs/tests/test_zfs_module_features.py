"""Features by the loaded module: those that it supports, and those that imported zpools use."""

from __future__ import annotations

from backy_zfs.features import active
from backy_zfs.module_features import with_features

from backy_core.sdk.models import PoolReport, Requirement, Unreadable

from .zfs_sample_probe import Outcome, SampleProbe

OLD = ("com.delphix:hole_birth", "org.illumos:lz4_compress")
NEW = (*OLD, "com.klarasystems:vdev_zaps_v2", "com.fudosecurity:block_cloning")
PROPERTIES = """tank\tguid\t1
tank\tfeature@hole_birth\tactive
tank\tfeature@block_cloning\tenabled
tank\tfeature@vdev_zaps_v2\tactive
tank\tfeature@not_yet\tactive
"""


class Probe(SampleProbe):
    supported: tuple[str, ...] = NEW
    outcome = Outcome(0, PROPERTIES)

    async def listdir(self, path: str) -> tuple[str, ...]:
        assert path == "/sys/module/zfs/features.pool"
        return self.supported

    async def run(self, *argv: str) -> Outcome:
        self.commands.append(argv)
        return self.outcome


def requirement(name: str, since: str | None, supported: bool | None) -> Requirement:
    return Requirement(
        feature=f"zpool feature {name}",
        tool="zfsutils-linux",
        tool_version=since,
        supported=supported,
    )


ZAPS = requirement("vdev_zaps_v2", "2.2", None)
RUNNING = PoolReport(
    native_id="1",
    guid=None,
    name="tank",
    level="single",
    presence="active",
    health="active",
    expected_members=0,
    members=(),
    requires=(),
)
RESTING = RUNNING.model_copy(update={"presence": "stopped", "requires": (ZAPS,)})


async def required(probe: Probe, report: PoolReport) -> tuple[Requirement, ...] | None:
    (completed,) = await with_features(probe, [report])
    assert isinstance(completed, PoolReport)
    return completed.requires


async def test_of_an_imported_zpool_all_that_is_in_use_is_told() -> None:
    assert await required(Probe("", {}), RUNNING) == (
        requirement("vdev_zaps_v2", "2.2", True),
        requirement("not_yet", None, False),
    )


async def test_of_one_at_rest_it_is_told_what_this_machine_lacks() -> None:
    probe = Probe("", {})
    assert await required(probe, RESTING) == (requirement("vdev_zaps_v2", "2.2", True),)
    probe.supported = OLD
    assert await required(probe, RESTING) == (requirement("vdev_zaps_v2", "2.2", False),)
    assert await required(probe, RESTING.model_copy(update={"requires": None})) is None
    assert probe.commands == []


async def test_nobody_is_asked_in_vain() -> None:
    """Not a module as old as the oldest, nor a zpool that has lost its drives; zfs-fuse has no
    features."""
    probe = Probe("", {})
    lost = RUNNING.model_copy(update={"health": "failed", "requires": (ZAPS,)})
    assert await required(probe, lost) == (requirement("vdev_zaps_v2", "2.2", True),)
    probe.supported = OLD
    assert await required(probe, RUNNING) == ()
    probe.supported = ()
    doubt = Unreadable(device="vda", reason="odd")
    assert await with_features(probe, [RESTING, doubt]) == [RESTING, doubt]
    assert probe.commands == []


async def test_where_the_tools_do_not_tell_the_labels_do() -> None:
    probe = Probe("", {})
    probe.outcome = Outcome(1, "")
    running = RUNNING.model_copy(update={"requires": (ZAPS,)})
    assert await required(probe, running) == (requirement("vdev_zaps_v2", "2.2", True),)


def test_damaged_output_gives_less() -> None:
    assert active("tank\n\ttank\tfeature@\nfeature@x\tactive\n") == {}
    assert active(PROPERTIES) == {"tank": ["hole_birth", "vdev_zaps_v2", "not_yet"]}
