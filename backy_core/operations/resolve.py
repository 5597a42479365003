"""References become nodes here, each time something is run, never earlier."""

from __future__ import annotations

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


class PoolUnseen(SystemFailure):
    """Nothing new can be told of the pool: it is neither there nor gone."""


class Resolver:
    """Looks up what a plan's identities are called right now."""

    def __init__(self, observer: Observer, devices: Devices) -> None:
        self._observer = observer
        self._devices = devices
        self._pool_devices: dict[tuple[str, str], tuple[str, int]] = {}
        """Name and sequence number of each pool's block device, by backend and identity."""

    async def report(self, plan: Plan) -> PoolReport | None:
        """This pool by a fresh inspect of its backend; None: it is not there. Raises
        :class:`PoolUnseen` if what would tell of it cannot be read."""
        reports = await self._observer.inspect(plan.backend)
        identity = plan.pool.identity
        report = next((report for report in nearest(reports) if report.native_id == identity), None)
        self._remember((plan.backend, identity), report.device if report else None)
        if report is None and plan.kind != "create":  # which has been given what is on its drives
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
        name, number = self._pool_devices.get((plan.backend, plan.pool.identity), ("", 0))
        if name and self._devices.diskseq(name) == number and self._devices.node_exists(name):
            return name
        report = await self.report(plan)
        if report is None or report.device is None:
            raise NoPoolDevice(f"Pool {plan.pool.guid} has no block device at the moment")
        if not self._devices.node_exists(report.device):
            raise NoPoolDevice(f"The node /dev/{report.device} does not exist yet")
        return report.device

    def _remember(self, pool: tuple[str, str], device: str | None) -> None:
        number = self._devices.diskseq(device) if device else None
        if device is None or number is None:
            self._pool_devices.pop(pool, None)
        else:
            self._pool_devices[pool] = (device, number)

    async def target(self, target: Target, plan: Plan) -> str:
        """The node of a drive, partition or pool device."""
        if isinstance(target, PoolDevice):
            return f"/dev/{await self.pool_device(plan)}"
        drive = await self.drive(target.drive)
        return _node(drive, target)

    async def argument(self, arg: Arg, plan: Plan) -> str:
        if isinstance(arg, str):
            return arg
        if isinstance(arg, Join):
            return arg.sep.join([await self.argument(part, plan) for part in arg.parts])
        return await self.target(arg, plan)

    async def shown(self, arg: Arg, plan: Plan) -> str:
        """As :meth:`argument`, for people: the pool's device as it was last seen."""
        if isinstance(arg, Join):
            return arg.sep.join([await self.shown(part, plan) for part in arg.parts])
        if not isinstance(arg, PoolDevice):
            return await self.argument(arg, plan)
        report = self._observer.snapshot.report_for(plan.backend, plan.pool.identity)
        if report is None or report.device is None:
            return f"<device of pool {plan.pool.guid}>"
        return f"/dev/{report.device}"

    async def argv(self, args: tuple[Arg, ...], plan: Plan) -> tuple[str, ...]:
        return tuple([await self.argument(arg, plan) for arg in args])


def _node(drive: Drive, reference: DriveRef) -> str:
    if reference.form == "by-id":
        if not drive.by_id:
            raise SystemFailure(f"Drive {drive.id.serial} has no /dev/disk/by-id link")
        return drive.by_id[0] + (f"-part{reference.part}" if reference.part else "")
    if reference.part is None:
        return drive.node
    separator = "p" if drive.name[-1].isdigit() else ""
    return f"{drive.node}{separator}{reference.part}"
