"""The backends that the tests of this folder run for, one file each."""

from ...qemu.guest import ASKED
from .base import Backend, Shape
from .lvm import LVM
from .mdadm import MDADM
from .openzfs import OPENZFS
from .zfs import ZFS

__all__ = ["ALL", "LVM", "MDADM", "OPENZFS", "ZFS", "Backend", "Shape"]

ALL: tuple[Backend, ...] = (MDADM, LVM, ZFS)


def chosen() -> tuple[Backend, ...]:
    """All, or OpenZFS alone if the environment says so: it is emulated, and slow."""
    return (OPENZFS,) if ASKED else ALL
