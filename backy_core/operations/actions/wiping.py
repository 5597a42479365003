"""Erasing signatures, of a member and on the pool's own device."""

from __future__ import annotations

from backy_core.machine.inventory import Drive
from backy_core.operations.actions.bound import Binding, BoundAction, Context
from backy_core.sdk.errors import DriveInUse, DriveNotEmpty
from backy_core.sdk.plan import Blank, Condition, WipeMember, WipeSignatures


class EraseMember(BoundAction):
    def __init__(self, binding: Binding, action: WipeMember) -> None:
        super().__init__(binding)
        self._may_erase = action.bears
        self._drive = self.nodes.drives[action.drive]

    def command(self) -> str:
        return f"wipefs --all {self._drive.node}"

    async def _perform(self, context: Context) -> tuple[Condition, ...]:
        drive = self._drive
        held = self._machine.devices.holders(drive.name)
        if held:
            raise DriveInUse(
                f"Drive {drive.id.serial} is held by {', '.join(held)} and is not wiped"
            )
        probed = await self._machine.signatures.probe_drive(drive.name)
        if not probed:
            return ()
        await self._refuse_member(drive)
        strange = [s for s in probed if not any(s.matches(match) for match in self._may_erase)]
        if strange:
            raise DriveNotEmpty(
                f"Drive {drive.id.serial} is not wiped: it holds {strange[0]}, "
                "which this operation may not erase"
            )
        context.write(f"$ {self.command()}")
        try:
            await self._machine.signatures.wipe_device(drive.node, log=context.write)
        finally:
            self._touched()
        return ()

    async def _refuse_member(self, drive: Drive) -> None:
        """Not everything holds its drives: zfs-fuse lets an exclusive open of a member succeed.

        The inspection that proved the pool released is used if nothing happened since.
        """
        report = await self._resolver.report(self._plan, fresh=False)
        if report is None or not report.assembled:
            return
        if any(member.drive == drive.id and member.in_place for member in report.members):
            raise DriveInUse(f"Drive {drive.id.serial} is in use by the pool and is not wiped")


class EraseSignatures(BoundAction):
    def __init__(self, binding: Binding, action: WipeSignatures) -> None:
        super().__init__(binding)
        self._on = action.on
        self._node = self.nodes.node(action.on)

    def command(self) -> str:
        return f"wipefs --all {self._node}"

    async def _perform(self, context: Context) -> tuple[Condition, ...]:
        name = self.nodes.name(self._on)
        if not (await self._machine.signatures.probe([self._node]))[name]:
            return (Blank(on=self._on),)
        context.write(f"$ {self.command()}")
        await self._machine.signatures.wipe_device(self._node, log=context.write)
        self._observer.forget_signatures([name])
        return ()
