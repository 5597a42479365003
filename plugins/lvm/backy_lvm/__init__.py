"""The LVM backend of Backy: volume groups with one logical volume as pools."""

__version__ = "0.1.0"
