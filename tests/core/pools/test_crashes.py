"""The agent dies at every point of every operation; the next one must put things right.

A point is before and after each journal record (before: the record is torn), each command, each
directory and each file written. Between death and restart the machine may stay as it is, change
its kernel names, or lose power, with or without udev starting arrays at boot.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from backy_core.pools.lifecycle.create import ROLLED_BACK
from backy_core.sdk.errors import NotFound
from tests.fakes.agent import GUID, Bench
from tests.fakes.model import Content

Do = Callable[[Bench], Awaitable[object]]


async def _stays(bench: Bench) -> None:
    """Nothing happens meanwhile."""


async def _renumbered(bench: Bench) -> None:
    for finish in bench.fakes.orphans.values():
        finish()
    bench.fakes.orphans.clear()
    bench.machine.renumber()


async def _power_cut(bench: Bench) -> None:
    bench.fakes.orphans.clear()
    bench.machine.reboot()


async def _power_cut_with_udev(bench: Bench) -> None:
    bench.fakes.orphans.clear()
    bench.machine.reboot(assembled=True)


MEANWHILE = [_stays, _renumbered, _power_cut, _power_cut_with_udev]


@dataclass(frozen=True)
class Past:
    """Work that the dead agent finished durably."""

    reached: tuple[str, ...]

    def recorded(self, record: str) -> bool:
        return f"recorded {record}" in self.reached


Verify = Callable[[Bench, Past], Awaitable[None]]


@contextmanager
def _bench(directory: Path) -> Iterator[Bench]:
    directory.mkdir(parents=True)
    bench = Bench(directory)
    for serial in ("A", "B", "C"):
        bench.machine.add(serial)
    yield bench
    assert not bench.machine.refused


async def _crash_everywhere(
    tmp_path: Path, prepare: Do, act: Do, meanwhile: Do, verify: Verify
) -> None:
    """Once for each point, until the operation gets through."""
    crashed, at = True, 0
    while crashed:
        with _bench(tmp_path / str(at)) as bench:
            await prepare(bench)
            crashed, past = await _crash_at(bench, act, at)
            await meanwhile(bench)
            await bench.start()
            try:
                await verify(bench, past)
            except AssertionError as error:
                where = past.reached[-1] if crashed else "the end"
                raise AssertionError(f"crash {at}, at “{where}”: {error}") from error
            finally:
                await bench.stop()
        at += 1
    assert at > 10


async def _crash_at(bench: Bench, act: Do, at: int) -> tuple[bool, Past]:
    interruptions = bench.machine.interruptions
    interruptions.reset()
    interruptions.crash_at = at

    async def work() -> None:
        await act(bench)

    crashed = await bench.until_crash(work())
    past = Past(tuple(interruptions.reached))
    interruptions.reset()
    return crashed, past


async def _empty(bench: Bench) -> None:
    await bench.start()


async def _with_old_content(bench: Bench) -> None:
    bench.machine.disks["A"].content = [Content("xfs", "old")]
    bench.machine.shines_through = [Content("btrfs", "ghost")]
    await bench.start()


async def _create(bench: Bench) -> None:
    await bench.create(wipe=True)


async def _created_or_undone(bench: Bench, past: Past) -> None:
    assert not bench.journal
    if past.recorded("commit"):
        assert await bench.state() == "ready"
        assert bench.machine.mounted(bench.path())
        assert bench.remembered[GUID].is_mounted
        return
    assert bench.remembered == {}
    old = bench.machine.disks["A"].content
    assert old in ([], [Content("xfs", "old")])
    old.clear()
    bench.assert_nothing_left("A", "B")
    assert (await bench.available())["B"]
    if past.recorded("opened") and not past.recorded("closed"):
        view = await bench.agent.pools.get(GUID)
        assert (view.state, view.error_message) == ("failed", ROLLED_BACK)
        return
    with pytest.raises(NotFound):
        await bench.agent.pools.get(GUID)


async def _unmounted(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    await bench.unmount()


async def _mount(bench: Bench) -> None:
    await bench.mount()


async def _mounted_or_back(bench: Bench, past: Past) -> None:
    assert not bench.journal
    wanted = past.recorded("commit")
    assert await bench.state() == ("ready" if wanted else "unmounted")
    assert bench.remembered[GUID].is_mounted == wanted
    assert bool(bench.machine.mounts) == wanted
    assert bench.directories == [GUID]


async def _mounted(bench: Bench) -> None:
    await bench.start()
    await bench.create()


async def _unmount(bench: Bench) -> None:
    await bench.unmount()


async def _unmounted_or_untouched(bench: Bench, past: Past) -> None:
    assert not bench.journal
    gone = past.recorded("opened")
    assert await bench.state() == ("unmounted" if gone else "ready")
    assert bench.remembered[GUID].is_mounted != gone
    assert bool(bench.machine.mounts) != gone


async def _delete(bench: Bench) -> None:
    await bench.delete()


async def _deleted_or_untouched(bench: Bench, past: Past) -> None:
    assert not bench.journal
    if not past.recorded("opened"):
        assert await bench.state() == "ready"
        return
    assert bench.remembered == {}
    bench.assert_nothing_left("A", "B")
    assert await bench.available() == {"A": True, "B": True, "C": True}
    if past.recorded("closed"):
        return
    assert await bench.state() == "deleted"


async def _degraded(bench: Bench) -> None:
    await _mounted(bench)
    bench.machine.unplug("B")
    await bench.agent.observer.refresh()


async def _add(bench: Bench) -> None:
    await bench.add_drive("C", wipe=True)


async def _added_or_not(bench: Bench, past: Past) -> None:
    """The metadata agrees with the drives."""
    assert not bench.journal
    joined = bench.machine.disks["C"].superblock is not None
    assert set(bench.remembered[GUID].drive_serials) == ({"A", "C"} if joined else {"A", "B"})
    if past.recorded("commit"):
        assert joined
    if not past.recorded("begun add-drive"):
        assert not joined
    assert joined or bench.machine.clean("C")


CASES = [
    pytest.param(_with_old_content, _create, _created_or_undone, id="create"),
    pytest.param(_unmounted, _mount, _mounted_or_back, id="mount"),
    pytest.param(_mounted, _unmount, _unmounted_or_untouched, id="unmount"),
    pytest.param(_mounted, _delete, _deleted_or_untouched, id="delete"),
]


@pytest.mark.parametrize("meanwhile", MEANWHILE)
@pytest.mark.parametrize(
    ("prepare", "act", "verify"),
    [*CASES, pytest.param(_degraded, _add, _added_or_not, id="add")],
)
async def test_a_crash_anywhere_is_put_right(
    tmp_path: Path, prepare: Do, act: Do, verify: Verify, meanwhile: Do
) -> None:
    await _crash_everywhere(tmp_path, prepare, act, meanwhile, verify)


def _with_layers(prepare: Do) -> Do:
    async def prepared(bench: Bench) -> None:
        bench.layered(2)
        await prepare(bench)

    return prepared


@pytest.mark.parametrize("meanwhile", [_stays, _renumbered, _power_cut_with_udev])
@pytest.mark.parametrize(("prepare", "act", "verify"), CASES)
async def test_a_crash_anywhere_in_a_stack_is_put_right(
    tmp_path: Path, prepare: Do, act: Do, verify: Verify, meanwhile: Do
) -> None:
    async def whole_or_closed(bench: Bench, past: Past) -> None:
        await verify(bench, past)
        # udev may have assembled the container of a closed pool; no layer opens by itself.
        layers = 2 if bench.machine.mounts else 0
        assert len(bench.machine.mappings) == layers, "a part of the stack is open"

    await _crash_everywhere(tmp_path, _with_layers(prepare), act, meanwhile, whole_or_closed)


async def _start(bench: Bench) -> None:
    await bench.start()


@pytest.mark.parametrize(
    ("prepare", "act", "first", "verify"),
    [
        pytest.param(_with_old_content, _create, "torn commit", _created_or_undone, id="undo"),
        pytest.param(_empty, _create, "recorded commit", _created_or_undone, id="commit"),
        pytest.param(_unmounted, _mount, "torn commit", _mounted_or_back, id="mount"),
        pytest.param(_mounted, _unmount, "after umount", _unmounted_or_untouched, id="unmount"),
        pytest.param(_mounted, _delete, "recorded begun wipe-B", _deleted_or_untouched, id="wipe"),
        pytest.param(_mounted, _delete, "recorded commit", _deleted_or_untouched, id="forget"),
        pytest.param(_degraded, _add, "after mdadm --manage", _added_or_not, id="add"),
    ],
)
async def test_a_crash_anywhere_in_the_recovery_is_put_right(
    tmp_path: Path, prepare: Do, act: Do, first: str, verify: Verify
) -> None:
    """The second agent dies of a power cut; the third goes on from where both left off."""
    crashed, at = True, 0
    while crashed:
        with _bench(tmp_path / str(at)) as bench:
            await prepare(bench)
            before = await _crash_where(bench, act, first)
            crashed, after = await _crash_at(bench, _start, at)
            await _power_cut(bench)
            await bench.start()
            try:
                await verify(bench, Past((*before.reached, *after.reached)))
            except AssertionError as error:
                where = after.reached[-1] if crashed else "the end"
                raise AssertionError(f"second crash {at}, at “{where}”: {error}") from error
            finally:
                await bench.stop()
        at += 1
    assert at > 3


async def _crash_where(bench: Bench, act: Do, prefix: str) -> Past:
    """Crash at the first point whose name begins so."""
    interruptions = bench.machine.interruptions
    interruptions.reset()

    def die() -> None:
        interruptions.crash_at = len(interruptions.reached) - 1

    interruptions.when(prefix, die)
    crashed = await bench.until_crash(_awaited(act(bench)))
    assert crashed, f"nothing like {prefix} happened"
    past = Past(tuple(interruptions.reached))
    interruptions.reset()
    return past


async def _awaited(work: Awaitable[object]) -> None:
    await work
