"""The contract, for the LVM backend."""

from backy_lvm import hooks

from backy_core.testing import BackendContract, RebootContract


class TestLvm(BackendContract):
    backend = hooks
    redundant = ("raid1", 2)


class TestLvmReboot(RebootContract):
    backend = hooks
    redundant = ("raid1", 2)
