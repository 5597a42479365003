"""An agent that believes in many mounted pools: all of it real but what it sees of the machine."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from backy_mdadm import hooks

from backy_core.config.settings import Settings
from backy_core.machine.inventory import Drive
from backy_core.machine.snapshot import Snapshot
from backy_core.plugins.host import PluginHost
from backy_core.plugins.loading import load_backends
from backy_core.runtime import Runtime
from backy_core.sdk.models import DriveId, MemberReport, PoolReport
from backy_core.system.block_devices import BlockDevice
from backy_core.system.machine import LINUX, Machine
from backy_core.system.mounts import MountEntry
from backy_core.system.udev import KernelEvents

KEY = "bench"
_SIZE = 4 << 40


@dataclass(frozen=True)
class _Pool:
    number: int
    mount_path: Path

    @property
    def guid(self) -> str:
        return str(uuid.UUID(int=(0xBAC << 96) + self.number))

    @property
    def device(self) -> str:
        return f"md{self.number}"

    @property
    def serials(self) -> tuple[str, str]:
        return (f"BENCH-{self.number:04}-A", f"BENCH-{self.number:04}-B")


def agent_with(
    count: int,
    directory: Path,
    *,
    host: PluginHost | None = None,
    machine: Machine = LINUX,
    events: Callable[[], KernelEvents | None] = lambda: None,
) -> Runtime:
    """``count`` pools of two drives, remembered, seen, and mounted below ``directory``.

    The mount points are real directories, so that asking how full they are costs what it costs.
    The agent is composed but not started: nothing of this machine is looked at.
    """
    pools = _pools(count, directory)
    for pool in pools:
        pool.mount_path.mkdir(parents=True)
    settings = Settings(state_dir=directory, runtime_dir=directory, config_dir=directory)
    settings.metadata_path.write_text(json.dumps({"version": 1, "pools": [*map(_entry, pools)]}))
    host = host or load_backends(
        installed_backends=(),
        installed_layers=(),
        installed_listeners=(),
        builtin=(("mdadm", hooks),),
    )
    runtime = Runtime(settings, host=host, machine=machine, events=events)
    runtime.keys.use(KEY)
    runtime._core.metadata.load()
    runtime.observer._board.snapshot = _snapshot(pools)
    return runtime


def change_one(runtime: Runtime) -> None:
    """Show progress of the next pool's resync, as an inspection of that pool alone would."""
    board = runtime.observer._board
    generation = board.snapshot.generation
    reports = list(board.snapshot.reports["mdadm"])
    number = generation % len(reports)
    reports[number] = reports[number].model_copy(update={"sync_percent": generation % 1000 / 10})
    board._show(replace(board.snapshot, reports={"mdadm": tuple(reports)}))


def snapshot_of(count: int, directory: Path) -> Snapshot:
    """The snapshot that such an agent has."""
    return _snapshot(_pools(count, directory))


def _pools(count: int, directory: Path) -> list[_Pool]:
    return [_Pool(number, directory / "mnt" / str(number)) for number in range(count)]


def guids(count: int) -> list[str]:
    return [_Pool(number, Path()).guid for number in range(count)]


def _entry(pool: _Pool) -> dict[str, object]:
    return {
        "poolGroupGuid": pool.guid,
        "label": f"pool {pool.number}",
        "backend": "mdadm",
        "level": "raid1",
        "filesystem": "ext4",
        "mdDeviceName": pool.device,
        "driveSerials": pool.serials,
        "driveLabels": {serial: f"disk {serial[-1]}" for serial in pool.serials},
        "createdAt": "2026-01-01T00:00:00Z",
        "lastMountPath": str(pool.mount_path),
        "isMounted": True,
        "nativeId": pool.guid,
    }


def _snapshot(pools: list[_Pool]) -> Snapshot:
    drives = tuple(_drive(pool, serial) for pool in pools for serial in pool.serials)
    return Snapshot(
        drives=drives,
        devices=tuple(drive.device for drive in drives),
        mounts=tuple(map(_mount, pools)),
        reports={"mdadm": tuple(map(_report, pools))},
        generation=1,
    )


def _drive(pool: _Pool, serial: str) -> Drive:
    name = f"sd{pool.number}{serial[-1].lower()}"
    array = BlockDevice(pool.device, f"/dev/{pool.device}", "raid1", _SIZE, f"9:{pool.number}")
    disk = BlockDevice(
        name, f"/dev/{name}", "disk", _SIZE, f"8:{pool.number}", serial, links=(f"ata-{serial}",)
    )
    return Drive(
        id=DriveId(serial=serial, wwn=None, size=_SIZE),
        device=replace(disk, children=(array,)),
        system=False,
        ambiguous=False,
        excluded=False,
        problem=None,
    )


def _mount(pool: _Pool) -> MountEntry:
    return MountEntry(
        majmin=f"9:{pool.number}",
        root="/",
        path=str(pool.mount_path),
        options=frozenset({"rw", "nosuid", "nodev"}),
        fstype="ext4",
        source=f"/dev/{pool.device}",
    )


def _report(pool: _Pool) -> PoolReport:
    drives = (DriveId(serial=serial, wwn=None, size=_SIZE) for serial in pool.serials)
    return PoolReport(
        native_id=pool.guid,
        guid=pool.guid,
        level="raid1",
        presence="active",
        health="active",
        device=pool.device,
        expected_members=2,
        members=tuple(
            MemberReport(
                device=f"sd{pool.number}{drive.serial[-1].lower()}",
                drive=drive,
                slot=slot,
                state="active",
            )
            for slot, drive in enumerate(drives)
        ),
    )
