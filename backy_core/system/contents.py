"""What lies on a device or in a filesystem, read and not changed."""

from backy_core.system.detached_mount import names_in, names_inside
from backy_core.system.filesystem_features import read as read_features
from backy_core.system.raw_reads import read_at

__all__ = ["names_in", "names_inside", "read_at", "read_features"]
