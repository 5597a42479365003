"""The contract, for the ZFS backend."""

from backy_zfs import hooks

from backy_core.testing import BackendContract, RebootContract


class TestZfs(BackendContract):
    backend = hooks
    redundant = ("mirror", 2)


class TestZfsReboot(RebootContract):
    backend = hooks
    redundant = ("mirror", 2)
