"""Ring one of the contract for every bundled backend: no root, no kernel."""

import backy_lvm.hooks
import backy_mdadm.hooks
import backy_zfs.hooks

from backy_core.testing import PlanContract


class TestMdadm(PlanContract):
    backend = backy_mdadm.hooks
    redundant = ("raid1", 2)


class TestLvm(PlanContract):
    backend = backy_lvm.hooks
    redundant = ("raid1", 2)


class TestZfs(PlanContract):
    backend = backy_zfs.hooks
    redundant = ("mirror", 2)
