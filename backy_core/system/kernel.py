"""The kernel itself: its release, boot, log, files and events, and what programs left in /run."""

from backy_core.system.blocks import boot_id
from backy_core.system.kernel_log import open_kernel_log
from backy_core.system.release import running
from backy_core.system.runtime_files import find_stale, remove_stale
from backy_core.system.sysfs import names_in, read_whole
from backy_core.system.udev import udev_settled

__all__ = [
    "boot_id",
    "find_stale",
    "names_in",
    "open_kernel_log",
    "read_whole",
    "remove_stale",
    "running",
    "udev_settled",
]
