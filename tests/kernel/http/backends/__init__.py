"""The backends that the tests of this folder run for, one file each."""

from .base import Backend, Shape
from .lvm import LVM
from .mdadm import MDADM
from .zfs import ZFS

__all__ = ["ALL", "LVM", "MDADM", "ZFS", "Backend", "Shape"]

ALL: tuple[Backend, ...] = (MDADM, LVM, ZFS)
