"""The mdadm backend of Backy: Linux software RAID arrays as pools."""

__version__ = "0.1.0"
