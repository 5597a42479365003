"""A call that is refused changed nothing: state before equals state after, whatever refuses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from backy_mdadm import inspect

from backy_core.api.errors import STATUS_OF_CODE
from backy_core.operations.records import Operation
from backy_core.sdk.errors import BackyError
from backy_core.sdk.models import Probe
from backy_core.sdk.scope import Scope
from tests.fakes.agent import GUID, OTHER, Bench
from tests.fakes.model import Content, Mounted

Verb = Callable[[Bench], Awaitable[Any]]
Situation = Callable[[Bench], Awaitable[None] | None]

VERBS: dict[str, Verb] = {
    "create": lambda b: b.agent.pools.create(b.request("C", guid=OTHER)),
    "create over members": lambda b: b.agent.pools.create(b.request("A", guid=OTHER, wipe=True)),
    "mount": lambda b: b.agent.pools.mount(GUID),
    "mount elsewhere": lambda b: b.agent.pools.mount(GUID, str(b.mounts / "elsewhere")),
    "unmount": lambda b: b.agent.pools.unmount(GUID),
    "delete": lambda b: b.agent.pools.delete(GUID),
    "add": lambda b: b.agent.pools.add_drive(
        GUID, serial="C", dev_path=None, replaces="B", wipe=False
    ),
    "import": lambda b: b.agent.pools.import_pool(OTHER, None, None),
    "kill": lambda b: b.agent.pools.kill(GUID, [100, 200], "UnmountPool"),
    "kill and delete": lambda b: b.agent.pools.kill(GUID, [100], "RemovePoolGroup"),
}


def _nothing(bench: Bench) -> None:
    pass


def _same_serials(bench: Bench) -> None:
    bench.machine.disks["B"].serial = "A"


def _shared_member(bench: Bench) -> None:
    bench.machine.disks["B"].content = [Content("xfs", "9-9", "holidays")]


def _full_drive(bench: Bench) -> None:
    bench.machine.disks["C"].content = [Content("xfs", "9-9", "holidays")]


def _unreadable_drive(bench: Bench) -> None:
    bench.machine.unreadable.add(bench.machine.disks["C"].name)


def _mounted_drive(bench: Bench) -> None:
    bench.machine.mounts.append(Mounted(bench.machine.disks["C"].name, "/data", "xfs"))


def _copied_member(bench: Bench) -> None:
    bench.machine.copy("B", onto="C")


async def _protected(bench: Bench) -> None:
    for serial in ("B", "C"):
        await bench.agent._core.protection.protect(serial)


def _busy(bench: Bench) -> None:
    bench.machine.hold(bench.path() + "/a", pid=100)
    bench.machine.hold("/elsewhere", pid=200)


def _used_path(bench: Bench) -> None:
    for guid in (GUID, OTHER):
        path = Path(bench.path(guid))
        path.mkdir(exist_ok=True)
        (path / "mine").touch()
    (bench.mounts / "elsewhere").mkdir()
    (bench.mounts / "elsewhere" / "mine").touch()


STOPPED: dict[Situation, tuple[str, ...]] = {
    _nothing: ("create over members", "add", "import"),
    _same_serials: ("create over members", "mount", "delete", "kill and delete"),
    _shared_member: ("create over members", "delete", "kill and delete"),
    _full_drive: ("create", "add"),
    _unreadable_drive: ("create", "add"),
    _mounted_drive: ("create", "add"),
    _copied_member: ("create", "mount", "mount elsewhere", "add"),
    _protected: ("create", "delete", "kill and delete"),
    _used_path: ("create", "mount", "mount elsewhere"),
}
MOUNTED: dict[Situation, tuple[str, ...]] = {
    _nothing: ("create over members", "mount elsewhere", "import"),
    _same_serials: ("create over members", "delete", "kill and delete"),
    _shared_member: ("delete", "kill and delete"),
    _full_drive: ("create", "add"),
    _unreadable_drive: ("create", "add"),
    _mounted_drive: ("create", "add"),
    _copied_member: ("create", "mount elsewhere"),
    _protected: ("create", "delete", "add", "kill and delete"),
    _busy: ("unmount", "delete", "kill"),
    _used_path: ("create", "mount elsewhere"),
}
CASES = [
    pytest.param(situation, verbs, mounted, id=f"{situation.__name__[1:]}-{state}")
    for state, mounted, table in (("stopped", False, STOPPED), ("mounted", True, MOUNTED))
    for situation, verbs in table.items()
]


@pytest.mark.parametrize(("situation", "verbs", "mounted"), CASES)
async def test_a_refused_call_changes_nothing(
    bench: Bench, situation: Situation, verbs: tuple[str, ...], mounted: bool
) -> None:
    await _pool(bench, mounted=mounted)
    if (settled := situation(bench)) is not None:
        await settled
    await bench.agent.observer.refresh([""])
    before = _everything(bench)
    for verb in verbs:
        error = await _refusal(bench, VERBS[verb])
        assert error is not None, f"{verb} was not refused"
        assert STATUS_OF_CODE[error.code] < 500, f"{verb}: {error!r}"
        assert _everything(bench) == before, f"{verb} was refused: {error}"


@pytest.mark.parametrize("mounted", [True, False], ids=["mounted", "stopped"])
async def test_a_delete_that_is_refused_for_what_else_there_is(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, mounted: bool
) -> None:
    await _pool(bench, mounted=mounted)

    arrays = inspect.arrays

    async def look(probe: Probe, only: Scope | None) -> tuple[Any, ...]:
        reports = await arrays(probe, only)
        return tuple(report.model_copy(update={"others": ("precious",)}) for report in reports)

    monkeypatch.setattr(inspect, "arrays", look)
    _busy(bench)
    await bench.agent.observer.refresh([""])
    before = _everything(bench)
    for verb in ("delete", "kill and delete"):
        error = await _refusal(bench, VERBS[verb])
        assert error is not None and error.code == "DRIVE_NOT_EMPTY"
        assert _everything(bench) == before


async def _pool(bench: Bench, *, mounted: bool) -> None:
    await bench.start()
    await bench.create()
    if not mounted:
        await bench.unmount()


async def _refusal(bench: Bench, verb: Verb) -> BackyError | None:
    try:
        done = await verb(bench)
    except BackyError as error:
        return error
    operation = done[1] if isinstance(done, tuple) else done
    return await bench.ended(operation) if isinstance(operation, Operation) else None


def _everything(bench: Bench) -> str:
    """Drives, arrays and what is in them, mounts, processes, files: all but the agent's outputs."""
    machine = bench.machine
    drives = {
        serial: (disk.serial, disk.superblock, disk.content, disk.parts)
        for serial, disk in machine.disks.items()
    }
    inside = {name: array.volume.content for name, array in machine.arrays.items()}
    files = sorted(str(path) for path in bench.mounts.rglob("*"))
    core = bench.agent._core
    known = (bench.remembered, core.tombstones.entries(), core.protection.serials(), bench.journal)
    claims = core.registry.claims.claimed_drives()
    kernel = (machine.arrays, inside, machine.mounts, sorted(machine.processes))
    return repr((drives, kernel, files, known, core.quarantined(), sorted(claims)))
