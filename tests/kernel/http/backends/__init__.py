"""The backends that the tests of this folder run for, one file each."""

from .base import Backend, Shape
from .mdadm import MDADM

__all__ = ["ALL", "MDADM", "Backend", "Shape"]

ALL: tuple[Backend, ...] = (MDADM,)
