"""The contract, for the mdadm backend."""

from backy_mdadm import hooks

from backy_core.testing import BackendContract, RebootContract


class TestMdadm(BackendContract):
    backend = hooks
    redundant = ("raid1", 2)


class TestMdadmReboot(RebootContract):
    backend = hooks
    redundant = ("raid1", 2)
