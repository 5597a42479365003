"""Mounting by force: only where nothing else helps, only when asked twice, and read-only first."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
from backy_mdadm import hooks

from backy_core.pools.admission import forcing
from backy_core.pools.reading import forced
from backy_core.sdk import hookimpl
from backy_core.sdk.errors import BackyError, Conflict, InvalidRequest
from backy_core.sdk.models import BackendInfo, PoolReport, PoolSpec
from backy_core.sdk.plan import BackendPlan
from backy_core.store.metadata import PoolEntry
from backy_core.system.mounts import MountEntry
from tests.fakes.agent import GUID, Bench

LABEL = "backup-1"
SERIALS = ("A", "B", "C")


@pytest.fixture
async def dropped(bench: Bench) -> Bench:
    """A RAID5 pool whose drives dropped out one after the other and are back; not mounted."""
    await bench.start()
    await bench.create(*SERIALS, level="raid5")
    assert await bench.unmount() is None
    for serial, events, view in zip(SERIALS, (24, 26, 29), ("AAA", ".AA", "..A"), strict=True):
        disk = bench.machine.disks[serial]
        assert disk.superblock is not None
        disk.superblock = replace(disk.superblock, events=events, view=view)
    await bench.agent.observer.refresh()
    return bench


async def force(bench: Bench, label: str | None = LABEL) -> BackyError | None:
    return await bench.ended(await bench.agent.pools.mount(GUID, force=True, label=label))


async def test_an_ordinary_mount_is_refused_and_names_force(dropped: Bench) -> None:
    with pytest.raises(Conflict) as refused:
        await dropped.mount()
    told = f"{refused.value} {refused.value.hint}"
    assert "A is 5 events behind (24 of 29)" in told and f"open {GUID} force=True" in told
    assert not dropped.machine.arrays and not dropped.journal


async def test_a_pool_that_was_not_opened_at_the_start_names_force(dropped: Bench) -> None:
    entry = dropped.remembered[GUID].model_copy(update={"is_mounted": True})
    await dropped.agent._core.metadata.put(entry)
    await dropped.restart()
    view = await dropped.agent.pools.get(GUID)
    told = str(view.error_message)
    assert view.state == "error" and "C is" not in told
    assert "B is 3 events behind" in told and f"open {GUID} force=True" in told


async def test_a_dry_run_says_what_may_be_lost_and_does_nothing(dropped: Bench) -> None:
    planned = await dropped.agent.pools.plan_mount(GUID, force=True)
    assembled, mounted = planned.steps
    assert "--force --run --readonly" in assembled.command
    assert assembled.effect == "destroys", "event counts are not lowered again"
    assert ",ro,noload" in mounted.command
    told = {member.serial: member.behind for member in planned.members}
    assert told["C"] is None and (told["B"] or "").startswith("3 events behind (26 of 29)")
    assert "B is 3 events behind" in (planned.may_be_lost or "")
    assert not dropped.machine.arrays and not dropped.journal


@pytest.mark.parametrize(
    ("label", "kind"), [(None, InvalidRequest), ("backup-2", Conflict), ("Backup-1", Conflict)]
)
async def test_the_label_has_to_be_repeated(
    dropped: Bench, label: str | None, kind: type[BackyError]
) -> None:
    with pytest.raises(kind) as refused:
        await force(dropped, label)
    assert repr(LABEL) in str(refused.value.hint)
    assert not dropped.machine.arrays


async def test_opened_read_only_first_and_for_writing_by_the_next_mount(dropped: Bench) -> None:
    assert await force(dropped) is None
    (mount,) = dropped.machine.mounts
    assert {"ro", "noload", "nosuid", "nodev"} <= mount.options
    view = await dropped.agent.pools.get(GUID)
    assert view.state == "ready" and "by force" in str(view.error_message)
    assert not dropped.remembered[GUID].is_mounted, "a reboot must not open it for writing"
    assert "Only 1 of its 3" in (dropped.remembered[GUID].seen_by_force or "")
    with pytest.raises(Conflict, match="read-only by force"):
        await dropped.mount()
    assert await dropped.unmount() is None
    assert await dropped.mount() is None
    (mount,) = dropped.machine.mounts
    assert not {"ro", "noload"} & mount.options
    view = await dropped.agent.pools.get(GUID)
    assert (view.state, view.pool_status, view.error_message) == ("ready", "degraded", None)
    assert dropped.remembered[GUID].is_mounted
    assert dropped.remembered[GUID].seen_by_force is None


async def test_an_unmount_that_cannot_be_finished_leaves_it_read_only(dropped: Bench) -> None:
    assert await force(dropped) is None
    dropped.machine.interruptions.fail("mdadm --stop")
    assert await dropped.unmount() is not None
    (mount,) = dropped.machine.mounts
    assert {"ro", "noload"} <= mount.options


@pytest.mark.parametrize("mounted", [True, False])
async def test_force_is_refused_where_an_ordinary_mount_will_do(
    bench: Bench, mounted: bool
) -> None:
    await bench.start()
    await bench.create()
    if not mounted:
        await bench.unmount()
    before = list(bench.machine.mounts), list(bench.machine.arrays)
    with pytest.raises(Conflict, match="is mounted" if mounted else "needs no force"):
        await force(bench)
    assert (list(bench.machine.mounts), list(bench.machine.arrays)) == before


async def test_a_failed_pool_says_what_to_do(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mounted or not. What the backend says of it is only half of it."""
    await bench.start()
    await bench.create()
    inspect = bench.agent.host.inspect

    async def failed(*given: Any) -> tuple[PoolReport, ...]:
        seen = await inspect(*given)
        reports = [each for each in seen if isinstance(each, PoolReport)]
        return tuple(report.model_copy(update={"health": "failed"}) for report in reports)

    monkeypatch.setattr(bench.agent.host, "inspect", failed)
    await bench.agent.observer.refresh()
    view = await bench.agent.pools.get(GUID)
    assert view.state == "error" and "mount it again" in str(view.error_message)
    bench.machine.unplug("B")
    await bench.agent.observer.refresh()
    assert "Plug in B" in str((await bench.agent.pools.get(GUID)).error_message)
    bench.machine.mounts.clear()
    await bench.agent.observer.refresh()
    assert "Plug in" in str((await bench.agent.pools.get(GUID)).error_message)
    await bench.agent._core.metadata.put(
        bench.remembered[GUID].model_copy(update={"is_mounted": False})
    )
    view = await bench.agent.pools.get(GUID)
    assert view.state == "unmounted" and "Plug in" in str(view.error_message)


RESTING = PoolReport(
    native_id=GUID,
    guid=GUID,
    level="mirror",
    presence="stopped",
    health="inactive",
    expected_members=2,
    members=(),
    needs_force="Its newest state cannot be read",
)


def test_what_was_seen_by_force_may_be_mounted_and_nothing_else() -> None:
    """As a backend leaves it that wrote nothing by force."""
    entry = PoolEntry(guid=GUID, label=LABEL, backend="zfs")
    with pytest.raises(Conflict, match="newest state"):
        forcing.check_unforced(entry, RESTING, asked_for=True)
    seen = entry.model_copy(update={"seen_by_force": RESTING.needs_force})
    forcing.check_unforced(seen, RESTING, asked_for=True)
    with pytest.raises(Conflict, match="newest state"):
        forcing.check_unforced(seen, RESTING, asked_for=False)
    later = RESTING.model_copy(update={"needs_force": "It lost another drive"})
    with pytest.raises(Conflict, match="another drive"):
        forcing.check_unforced(seen, later, asked_for=True)


@pytest.mark.parametrize(("options", "by_force"), [({"ro"}, True), ({"rw"}, False)])
def test_a_filesystem_of_the_backends_own_is_remembered_as_forced(
    options: set[str], by_force: bool
) -> None:
    mount = MountEntry("0:40", "/", "/mnt/a", frozenset(options), "zfs", "backy-1")
    entry = PoolEntry(guid=GUID, label=LABEL, backend="zfs")
    assert not forced.is_forced(entry, mount), "somebody mounted it read-only by hand"
    seen = entry.model_copy(update={"seen_by_force": "why"})
    assert forced.is_forced(seen, mount) is by_force


def test_nothing_is_said_of_a_journal_that_the_core_does_not_know() -> None:
    assert forced.may_be_lost(RESTING, "filesystem") == RESTING.needs_force
    assert "journal" in forced.may_be_lost(RESTING, "block")


def without_force() -> ModuleType:
    """mdadm as a plugin that was written before there was force."""

    @hookimpl
    def backy_backend() -> BackendInfo:
        info = hooks.backy_backend()
        return info.model_copy(update={"capabilities": info.capabilities - {"force_open"}})

    @hookimpl
    def backy_plan_open(pool: PoolSpec, report: PoolReport, degraded: bool) -> BackendPlan:
        return hooks.backy_plan_open(pool, report, degraded, force=False)

    plugin = ModuleType("older")
    own = {"backy_backend": backy_backend, "backy_plan_open": backy_plan_open}
    vars(plugin).update({**vars(hooks), **own})
    return plugin


async def test_a_backend_without_the_capability_says_so(bench: Bench) -> None:
    bench.backends = (("mdadm", without_force()),)
    await bench.start()
    await bench.create()
    await bench.unmount()
    with pytest.raises(InvalidRequest, match="force_open"):
        await force(bench)
    with pytest.raises(InvalidRequest, match="force_open"):
        await bench.agent.pools.plan_mount(GUID, force=True)
    assert await bench.mount() is None


async def test_a_failure_says_that_event_counts_stay_raised(dropped: Bench) -> None:
    """Nothing opens it for writing by itself after that, as at the next start."""
    core = dropped.agent._core
    await core.metadata.put(dropped.remembered[GUID].model_copy(update={"is_mounted": True}))
    dropped.machine.interruptions.fail("mount ")
    error = await force(dropped)
    assert error is not None and "opens it for writing" in str(error.hint)
    assert not dropped.remembered[GUID].is_mounted
    assert not dropped.machine.mounts and not dropped.machine.arrays
