"""References become nodes here, each time something is run, never earlier."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import NamedTuple

from backy_core.machine import inventory
from backy_core.machine.happened import Touched
from backy_core.machine.inventory import Drive
from backy_core.machine.observer import Observer
from backy_core.machine.snapshot import nearest
from backy_core.sdk.errors import BackendFailure, SystemFailure
from backy_core.sdk.models import DriveId, PoolReport
from backy_core.sdk.plan import Arg, DriveRef, Join, Plan, PoolDevice, Target
from backy_core.system.machine import Devices


class NoPoolDevice(SystemFailure):
    """The pool has no block device now; a roll-back then has nothing to do for it."""


class Moved(SystemFailure):
    """A node was given to another device after it was resolved. Nothing was done."""


class PoolUnseen(SystemFailure):
    """Nothing new can be told of the pool: it is neither there nor gone."""


class PoolNode(NamedTuple):
    """A node of a pool's stack, and its disk sequence number."""

    path: str
    number: int | None


@dataclass(frozen=True)
class Nodes:
    """The nodes of an action's references, resolved together."""

    drives: Mapping[DriveId, Drive]
    pool: Mapping[int | None, PoolNode] = field(default_factory=dict)
    """The pool's block devices that something refers to, by ``PoolDevice.layer``."""

    def numbers(self) -> dict[str, int]:
        """Disk sequence numbers by serial; kernels before 5.15 have none."""
        numbers = {identity.serial: drive.device.diskseq for identity, drive in self.drives.items()}
        return {serial: number for serial, number in numbers.items() if number is not None}

    def node(self, target: Target) -> str:
        if isinstance(target, PoolDevice):
            return self.pool[target.layer].path
        return self._of_drive(target)

    def name(self, target: Target) -> str:
        """Its kernel name."""
        return PurePath(self.node(target)).name

    def argv(self, args: Iterable[Arg]) -> tuple[str, ...]:
        return tuple(self._argument(arg) for arg in args)

    def _argument(self, arg: Arg) -> str:
        if isinstance(arg, str):
            return arg
        if isinstance(arg, Join):
            return arg.sep.join(self.argv(arg.parts))
        return self.node(arg)

    def _of_drive(self, reference: DriveRef) -> str:
        drive = self.drives[reference.drive]
        if reference.form == "by-id":
            if not drive.by_id:
                raise SystemFailure(f"Drive {drive.id.serial} has no /dev/disk/by-id link")
            return drive.by_id[0] + (f"-part{reference.part}" if reference.part else "")
        if reference.part is None:
            return drive.node
        separator = "p" if drive.name[-1].isdigit() else ""
        return f"{drive.node}{separator}{reference.part}"


class Resolver:
    """Looks up what a plan's identities are called right now."""

    def __init__(self, observer: Observer, devices: Devices) -> None:
        self._observer = observer
        self._devices = devices
        self._pool_devices: dict[tuple[str, str], dict[int | None, tuple[str, int]]] = {}
        """Name and sequence number of each pool's block devices, by backend and identity, and
        there by ``PoolDevice.layer``."""

    async def report(self, plan: Plan, *, fresh: bool = True) -> PoolReport | None:
        """This pool by an inspection of it; None: it is not there. Raises
        :class:`PoolUnseen` if what would tell of it cannot be read.

        Not ``fresh``: by the last one, if nothing happened since (:meth:`Observer.inspect`).
        """
        layers = plan.pool.layers
        reports = await self._observer.inspect(plan.backend, self.touched_by(plan), fresh=fresh)
        if unseen := self._observer.layers_unseen_because(layers):
            raise BackendFailure(unseen)
        identity = plan.pool.identity
        report = next((report for report in nearest(reports) if report.native_id == identity), None)
        if report is not None:
            report = self._observer.snapshot.stacked(report, layers)
        self._remember((plan.backend, identity), report)
        if report is None and not plan.new_pool:  # which has been given what is on its drives
            serials = [drive.serial for drive in (*plan.drives, *plan.pool.drives)]
            reason = self._observer.snapshot.unseen_because(plan.backend, None, serials)
            if reason:
                raise PoolUnseen(reason)
        return report

    def touched_by(self, plan: Plan) -> Touched:
        """The plan's pool and drives."""
        drives = self._observer.names_of((*plan.drives, *plan.pool.drives))
        return Touched.of(devices=drives, pools=(plan.pool.identity,))

    async def drive(self, identity: DriveId) -> Drive:
        """The drive with this identity; looks again if the node changed hands meanwhile."""
        try:
            drive = inventory.resolve(self._observer.snapshot.drives, identity)
            if self._devices.diskseq(drive.name) == drive.device.diskseq:
                return drive
        except inventory.DriveAbsent:
            pass
        snapshot = await self._observer.refresh_drives()
        return inventory.resolve(snapshot.drives, identity)

    async def pool_device(self, plan: Plan, layer: int | None = None) -> str:
        """Kernel name of the pool's block device; ``layer``: as ``PoolDevice`` has it.

        One that an inspect found stays the pool's until it is gone: the number tells it from
        another one under its name, and asking LVM or ZFS again costs a process each time.
        """
        if (name := self.running_device(plan, layer)) and self._devices.node_exists(name):
            return name
        report = await self.report(plan)
        device = _devices_of(report).get(layer)
        if device is None:
            raise NoPoolDevice(f"Pool {plan.pool.guid} has no block device at the moment")
        if not self._devices.node_exists(device):
            raise NoPoolDevice(f"The node /dev/{device} does not exist yet")
        return device

    def running_device(self, plan: Plan, layer: int | None = None) -> str | None:
        """The pool's block device that an inspect found, while it is there. Asks no backend."""
        devices = self._pool_devices.get((plan.backend, plan.pool.identity), {})
        name, number = devices.get(layer, (None, 0))
        return name if name and self._devices.diskseq(name) == number else None

    def _remember(self, pool: tuple[str, str], report: PoolReport | None) -> None:
        self._pool_devices[pool] = {
            layer: (device, number)
            for layer, device in _devices_of(report).items()
            if (number := self._devices.diskseq(device)) is not None
        }

    async def target(self, target: Target, plan: Plan) -> str:
        """The node of a drive, partition or pool device."""
        return (await self.nodes((target,), plan)).node(target)

    async def nodes(self, targets: Iterable[Target], plan: Plan, *, preview: bool = False) -> Nodes:
        """Resolve ``targets``. ``preview``: take the pool's device from the last snapshot."""
        drives: dict[DriveId, Drive] = {}
        pool: dict[int | None, PoolNode] = {}
        for target in targets:
            if isinstance(target, DriveRef):
                if target.drive not in drives:
                    drives[target.drive] = await self.drive(target.drive)
            elif preview:
                pool[target.layer] = PoolNode(self._last_seen(plan, target.layer), None)
            elif target.layer not in pool:
                name = await self.pool_device(plan, target.layer)
                pool[target.layer] = PoolNode(f"/dev/{name}", self._devices.diskseq(name))
        return Nodes(drives, pool)

    def _last_seen(self, plan: Plan, layer: int | None) -> str:
        snapshot, pool = self._observer.snapshot, plan.pool
        device = _devices_of(snapshot.report_for(plan.backend, pool.identity, pool.layers)).get(
            layer
        )
        if device is not None:
            return f"/dev/{device}"
        return f"<device of pool {pool.guid}>"

    async def refuse_moved(self, nodes: Nodes) -> None:
        """Raise :class:`Moved` or :class:`NoPoolDevice` if a node belongs to another device now."""
        for identity, drive in nodes.drives.items():
            now = await self.drive(identity)
            if (now.node, now.device.diskseq) != (drive.node, drive.device.diskseq):
                raise Moved(f"Drive {identity} is {now.node} now, and was {drive.node}")
        for path, number in nodes.pool.values():
            if self._devices.diskseq(PurePath(path).name) != number:
                raise NoPoolDevice(f"{path} is no longer the pool's device")


def _devices_of(report: PoolReport | None) -> dict[int | None, str]:
    """Kernel names of a pool's block devices by ``PoolDevice.layer``."""
    if report is None:
        return {}
    stack = [layer.device for layer in report.layers] or [report.device]
    devices: dict[int | None, str | None] = {None: report.device, **dict(enumerate(stack))}
    return {layer: device for layer, device in devices.items() if device is not None}
