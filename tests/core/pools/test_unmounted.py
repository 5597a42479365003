"""`unmounted` is said after looking, whatever the backend reports."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backy_core.sdk.errors import Conflict, SystemFailure
from backy_core.sdk.models import PoolReport, Unreadable
from backy_core.system.mountinfo import MountEntry
from tests.fakes.agent import GUID, Bench
from tests.fakes.interruptions import How


class Blinkers:
    """Changes what the backend reports."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stopped = self.blind = False
        self.health: str | None = None
        inspect = bench.agent.host.inspect

        async def report(*given: object) -> tuple[PoolReport | Unreadable, ...]:
            seen = await inspect(*given)  # type: ignore[arg-type]
            if self.stopped:
                changes = {"presence": "stopped", "health": "inactive", "device": None}
                return tuple(each.model_copy(update=changes) for each in seen)
            if self.health:
                seen = tuple(each.model_copy(update={"health": self.health}) for each in seen)
            return () if self.blind else seen

        monkeypatch.setattr(bench.agent.host, "inspect", report)


@pytest.fixture
async def blinkers(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Blinkers:
    await bench.start()
    await bench.create()
    return Blinkers(bench, monkeypatch)


@pytest.mark.parametrize("what", ["blind", "stopped"])
async def test_a_pool_its_backend_does_not_see_run_is_not_taken_for_unmounted(
    bench: Bench, blinkers: Blinkers, what: str
) -> None:
    setattr(blinkers, what, True)
    await bench.agent.observer.refresh()
    before = list(bench.machine.mounts), list(bench.machine.arrays)
    view = await bench.agent.pools.get(GUID)
    assert view.state == "error" and "still mounted" in str(view.error_message)
    with pytest.raises(SystemFailure, match="cannot be stopped"):
        await bench.unmount()
    with pytest.raises(Conflict, match="does not report it as running"):
        await bench.delete()
    assert (list(bench.machine.mounts), list(bench.machine.arrays)) == before
    assert await bench.state() == "error" and bench.remembered[GUID].is_mounted
    setattr(blinkers, what, False)
    await bench.agent.observer.refresh()
    assert await bench.state() == "ready"
    assert await bench.unmount() is None
    assert await bench.state() == "unmounted" and not bench.machine.arrays


async def test_a_device_that_the_backend_loses_when_it_is_unmounted_is_not_stopped(
    bench: Bench, blinkers: Blinkers
) -> None:
    """Its exit status and the backend both say that it is stopped. Neither is the device's word."""

    def vanish() -> None:
        blinkers.blind = True

    bench.machine.interruptions.fail("mdadm --stop", How.SILENT)
    bench.machine.interruptions.when("after umount", vanish)
    error = await bench.unmount()
    assert isinstance(error, SystemFailure)
    assert bench.machine.arrays and await bench.state() == "error"


async def test_a_second_place_is_seen_by_its_device_number(
    bench: Bench, blinkers: Blinkers
) -> None:
    """As of a mount whose source nobody can match."""
    (mount,) = bench.machine.mounts
    bench.machine.mounts = [replace(mount, path="/elsewhere")]
    await bench.agent.observer.refresh()
    view = await bench.agent.pools.get(GUID)
    assert (view.state, view.mount_path) == ("ready", "/elsewhere")
    assert await bench.unmount() is None
    assert not bench.machine.mounts and not bench.machine.arrays


async def test_read_only_is_told(bench: Bench, blinkers: Blinkers) -> None:
    (mount,) = bench.machine.mounts
    bench.machine.mounts = [replace(mount, options=mount.options | {"ro"} - {"rw"})]
    await bench.agent.observer.refresh()
    view = await bench.agent.pools.get(GUID)
    assert view.state == "ready" and "read-only" in str(view.error_message)


async def test_a_filesystem_that_gave_up_is_an_error(bench: Bench, blinkers: Blinkers) -> None:
    """Told by mountinfo alone: the mount is for writing, the filesystem is not."""
    (mount,) = bench.machine.mounts
    bench.machine.mounts = [replace(mount, options=mount.options | {"shutdown"})]
    await bench.agent.observer.refresh()
    view = await bench.agent.pools.get(GUID)
    assert view.state == "error" and "met an error" in str(view.error_message)
    assert await bench.unmount() is None
    assert await bench.mount() is None and await bench.state() == "ready"


async def test_a_mounted_pool_whose_storage_failed_is_an_error(
    bench: Bench, blinkers: Blinkers
) -> None:
    blinkers.health = "failed"
    await bench.agent.observer.refresh()
    view = await bench.agent.pools.get(GUID)
    assert (view.state, view.pool_status) == ("error", "failed")
    assert f"close {GUID}" in str(view.error_message)


async def test_what_a_container_keeps_mounted_is_not_unmounted(
    bench: Bench, blinkers: Blinkers
) -> None:
    await bench.unmount()
    bench.machine.assemble_all()
    await bench.agent.observer.refresh()
    assert await bench.state() == "unmounted", "running is not mounted"
    (name,) = bench.machine.arrays
    kept = MountEntry(f"9:{name[2:]}", "/", "/data", frozenset(), "ext4", f"/dev/{name}", 12, 11)
    bench.machine.namespaces = {"mnt:[4026532500]": (kept,)}
    await bench.agent.observer.refresh()
    view = await bench.agent.pools.get(GUID)
    assert view.state == "error" and "mount namespace" in str(view.error_message)


async def test_a_failed_array_that_still_runs_is_not_mounted(bench: Bench) -> None:
    """It holds on to drives that are gone; the advice is followed, and the pool is there again."""
    await bench.start()
    await bench.create()
    bench.machine.mounts = []
    for serial in ("A", "B"):
        bench.machine.unplug(serial)
    for serial in ("A", "B"):
        bench.machine.plug(serial)
    await bench.agent.observer.refresh()
    with pytest.raises(Conflict, match="has failed") as refused:
        await bench.mount()
    assert f"close {GUID}" in str(refused.value.hint)
    assert await bench.unmount() is None
    assert await bench.mount() is None
    assert await bench.state() == "ready"
