"""Drives in memory."""

from __future__ import annotations

from backy_core.machine.inventory import Drive
from backy_core.pools.drive_service import DriveService, DriveStatus, ListedDrive, ListedDrives
from backy_core.sdk.errors import NotFound
from backy_core.sdk.models import DriveId
from backy_core.system.blocks import BlockDevice
from tests.http.fake_pools import GUID, PROCESS

_SIZE = 268435456


def available_drive(serial: str) -> ListedDrive:
    """A blank drive that nothing uses."""
    device = BlockDevice("sdb", "/dev/sdb", "disk", _SIZE, "8:16")
    drive = Drive(DriveId(serial=serial, size=_SIZE), device)
    return ListedDrive(drive, True, None, None, False)


def array_member() -> ListedDrive:
    """A drive without a serial of its own, in a running, mounted array."""
    array = BlockDevice(
        "md127",
        "/dev/md127",
        "raid1",
        267386880,
        "9:127",
        fstype="ext4",
        uuid="abc",
        mountpoint="/mnt/x",
    )
    device = BlockDevice(
        "sda",
        "/dev/sda",
        "disk",
        _SIZE,
        "8:0",
        fstype="linux_raid_member",
        links=("wwn-0x5000c500a1b2c3d4",),
        children=(array,),
    )
    drive = Drive(DriveId(serial="0x5000c500a1b2c3d4", size=_SIZE), device, identified_by="wwn")
    return ListedDrive(drive, False, "It is a member of pool backup-1", GUID, False)


class FakeDrives(DriveService):
    """Overrides every use case; what it does not override has no parts to run on."""

    def __init__(self) -> None:
        self.listings: list[ListedDrive] = [array_member()]
        self.protected: set[str] = set()
        self.refreshes = 0
        self.blinked: list[str] = []
        self.in_use = DriveStatus("in_pool", GUID, "md127", "/mnt/x", (PROCESS,))

    async def list(self) -> ListedDrives:
        return ListedDrives(self.listings)

    async def status(self, serial: str) -> DriveStatus:
        self._require(serial)
        if serial in self.protected:
            return DriveStatus("protected", None, None, None, ())
        return self.in_use

    async def refresh(self) -> None:
        self.refreshes += 1

    async def blink(self, serial: str) -> float:
        self._require(serial)
        self.blinked.append(serial)
        return 9.6

    async def protect(self, serial: str) -> None:
        self._require(serial)
        self.protected.add(serial)

    async def unprotect(self, serial: str) -> None:
        self._require(serial)
        self.protected.discard(serial)

    def _require(self, serial: str) -> None:
        if serial not in [listing.drive.id.serial for listing in self.listings]:
            raise NotFound(f"There is no drive {serial}")
