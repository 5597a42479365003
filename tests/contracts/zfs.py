"""The contract, for the ZFS backend."""

from backy_zfs import hooks

from backy_core.testing import BackendContract, RebootContract


class TestZfs(BackendContract):
    backend = hooks
    redundant = ("mirror", 2)


class TestZfsReboot(RebootContract):
    backend = hooks
    redundant = ("mirror", 2)
    moment = 2
    """zfs-fuse refuses the first program, which names features; the second one writes."""
