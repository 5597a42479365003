"""Processes: which of them hold something, and ending them."""

from backy_core.system.identity import is_alive
from backy_core.system.mount_holders import find_holders, processes_on
from backy_core.system.procs import kill
from backy_core.system.raw_writers import raw_writers

__all__ = ["find_holders", "is_alive", "kill", "processes_on", "raw_writers"]
