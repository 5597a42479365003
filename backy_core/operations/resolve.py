"""References become nodes here, each time something is run, never earlier."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from backy_core.machine import inventory
from backy_core.machine.inventory import Drive
from backy_core.machine.observer import Observer
from backy_core.machine.snapshot import nearest
from backy_core.sdk.errors import SystemFailure
from backy_core.sdk.models import DriveId, PoolReport
from backy_core.sdk.plan import Arg, DriveRef, Join, Plan, PoolDevice, Target
from backy_core.system.machine import Devices


class NoPoolDevice(SystemFailure):
    """The pool has no block device now; a roll-back then has nothing to do for it."""


class Moved(SystemFailure):
    """A node was given to another device after it was resolved. Nothing was done."""


class PoolUnseen(SystemFailure):
    """Nothing new can be told of the pool: it is neither there nor gone."""


@dataclass(frozen=True)
class Nodes:
    """The nodes of an action's references, resolved together."""

    drives: Mapping[DriveId, Drive]
    pool: str = ""
    """The node of the pool's block device; empty if nothing refers to it."""
    pool_number: int | None = None
    """Its disk sequence number."""

    @property
    def pool_name(self) -> str:
        return PurePath(self.pool).name

    def numbers(self) -> dict[str, int]:
        """Disk sequence numbers by serial; kernels before 5.15 have none."""
        numbers = {identity.serial: drive.device.diskseq for identity, drive in self.drives.items()}
        return {serial: number for serial, number in numbers.items() if number is not None}

    def node(self, target: Target) -> str:
        return self.pool if isinstance(target, PoolDevice) else self._of_drive(target)

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
        self._pool_devices: dict[tuple[str, str], tuple[str, int]] = {}
        """Name and sequence number of each pool's block device, by backend and identity."""

    async def report(self, plan: Plan, *, fresh: bool = True) -> PoolReport | None:
        """This pool by an inspect of its backend; None: it is not there. Raises
        :class:`PoolUnseen` if what would tell of it cannot be read.

        Not ``fresh``: by the last one, if nothing happened since (:meth:`Observer.inspect`).
        """
        reports = await self._observer.inspect(plan.backend, fresh=fresh)
        identity = plan.pool.identity
        report = next((report for report in nearest(reports) if report.native_id == identity), None)
        self._remember((plan.backend, identity), report.device if report else None)
        if report is None and not plan.new_pool:  # which has been given what is on its drives
            serials = [drive.serial for drive in (*plan.drives, *plan.pool.drives)]
            reason = self._observer.snapshot.unseen_because(plan.backend, None, serials)
            if reason:
                raise PoolUnseen(reason)
        return report

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

    async def pool_device(self, plan: Plan) -> str:
        """Kernel name of the pool's block device.

        One that an inspect found stays the pool's until it is gone: the number tells it from
        another one under its name, and asking LVM or ZFS again costs a process each time.
        """
        if (name := self.running_device(plan)) and self._devices.node_exists(name):
            return name
        report = await self.report(plan)
        if report is None or report.device is None:
            raise NoPoolDevice(f"Pool {plan.pool.guid} has no block device at the moment")
        if not self._devices.node_exists(report.device):
            raise NoPoolDevice(f"The node /dev/{report.device} does not exist yet")
        return report.device

    def running_device(self, plan: Plan) -> str | None:
        """The pool's block device that an inspect found, while it is there. Asks no backend."""
        name, number = self._pool_devices.get((plan.backend, plan.pool.identity), (None, 0))
        return name if name and self._devices.diskseq(name) == number else None

    def _remember(self, pool: tuple[str, str], device: str | None) -> None:
        number = self._devices.diskseq(device) if device else None
        if device is None or number is None:
            self._pool_devices.pop(pool, None)
        else:
            self._pool_devices[pool] = (device, number)

    async def target(self, target: Target, plan: Plan) -> str:
        """The node of a drive, partition or pool device."""
        return (await self.nodes((target,), plan)).node(target)

    async def nodes(self, targets: Iterable[Target], plan: Plan, *, preview: bool = False) -> Nodes:
        """Resolve ``targets``. ``preview``: take the pool's device from the last snapshot."""
        drives: dict[DriveId, Drive] = {}
        pool, number = "", None
        for target in targets:
            if isinstance(target, DriveRef):
                if target.drive not in drives:
                    drives[target.drive] = await self.drive(target.drive)
            elif preview:
                pool = self._last_seen(plan)
            elif not pool:
                name = await self.pool_device(plan)
                pool, number = f"/dev/{name}", self._devices.diskseq(name)
        return Nodes(drives, pool, number)

    def _last_seen(self, plan: Plan) -> str:
        report = self._observer.snapshot.report_for(plan.backend, plan.pool.identity)
        if report is None or report.device is None:
            return f"<device of pool {plan.pool.guid}>"
        return f"/dev/{report.device}"

    async def refuse_moved(self, nodes: Nodes) -> None:
        """Raise :class:`Moved` or :class:`NoPoolDevice` if a node belongs to another device now."""
        for identity, drive in nodes.drives.items():
            now = await self.drive(identity)
            if (now.node, now.device.diskseq) != (drive.node, drive.device.diskseq):
                raise Moved(f"Drive {identity} is {now.node} now, and was {drive.node}")
        if nodes.pool and self._devices.diskseq(nodes.pool_name) != nodes.pool_number:
            raise NoPoolDevice(f"{nodes.pool} is no longer the pool's device")
