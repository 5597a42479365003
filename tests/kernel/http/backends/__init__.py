"""The backends that the tests of this folder run for, one file each."""

from .base import Backend, Shape
from .lvm import LVM
from .mdadm import MDADM

__all__ = ["ALL", "LVM", "MDADM", "Backend", "Shape"]

ALL: tuple[Backend, ...] = (MDADM, LVM)
