"""Replies about drives, processes and mounts."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from backy_core.api.wire.base import Percent, ReplyModel, Success

_DRIVE_STATES = ["available", "in_pool", "in_use", "mounted", "protected"]
DriveState = Annotated[str, Field(json_schema_extra={"enum": list[Any](_DRIVE_STATES)})]

_IDENTITIES = ["serial", "wwn", "link", "file", "name"]
IdentifiedBy = Annotated[str, Field(json_schema_extra={"enum": list[Any](_IDENTITIES)})]


class BlockReply(ReplyModel):
    """A block device in the shape of ``lsblk``; sizes in bytes."""

    name: str
    size: int
    type: str
    mountpoint: str | None
    uuid: str | None
    serial: str | None
    vendor: str | None
    model: str | None
    fstype: str | None
    path: str
    id_link: str | None = Field(alias="id-link")
    children: tuple[BlockReply, ...]


class DriveReply(BlockReply):
    """A whole drive. ``unavailableBecause`` and ``unavailableCode``, the code of the error that
    taking it would get, are null exactly if ``available``. ``DRIVE_NOT_EMPTY``: it can be taken
    with ``wipe``. ``sectorSize`` is that of its logical sectors, in bytes.

    ``identifiedBy`` says what ``serial`` is; a drive by its kernel ``name`` alone is never taken.
    """

    serial: str
    identified_by: IdentifiedBy
    available: bool
    unavailable_because: str | None
    unavailable_code: str | None
    pool_group_guid: str | None
    protected: bool
    sector_size: int


class DriveList(ReplyModel):
    """Whole drives with what is on them nested below."""

    blockdevices: tuple[DriveReply, ...]


class ProcessReply(ReplyModel):
    """A process that holds a mount. ``path`` is what it holds, ``name`` its short name."""

    pid: int
    command: str
    user: str
    path: str
    name: str


class ProcessList(ReplyModel):
    """One entry per process."""

    processes: tuple[ProcessReply, ...]


class MountReply(ProcessList):
    """The pool that is mounted at a path, by the kernel's mount table at the time of the call."""

    pool_group_guid: str
    label: str
    mount_path: str
    source: str
    filesystem: str
    read_only: bool


class DriveStatusReply(ReplyModel):
    """The use of a drive. ``state`` equals ``status``, and ``mdDeviceName`` equals ``poolId``."""

    status: DriveState
    state: DriveState
    in_pool: bool
    pool_group_guid: str | None
    pool_id: str | None
    md_device_name: str | None
    mount_point: str | None
    processes: tuple[ProcessReply, ...]


class ProtectionReply(Success):
    """Whether the drive is refused for destructive calls now."""

    serial: str
    protected: bool


class MountSizeReply(ReplyModel):
    """Bytes of a mounted filesystem, as ``df`` prints them."""

    size: int
    used: int
    available: int
    use_percent: Percent
