"""The conformance kit on this backend."""

import backy_btrfs

from backy_core.testing import BackendContract, RebootContract


class TestBtrfs(BackendContract):
    backend = backy_btrfs


class TestBtrfsReboot(RebootContract):
    backend = backy_btrfs
