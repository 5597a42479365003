"""The whole contract in one class: plans, a real kernel, faults, and a reboot."""

from __future__ import annotations

from backy_core.testing.crashes import CrashContract
from backy_core.testing.faults import FaultContract
from backy_core.testing.kernel import KernelContract
from backy_core.testing.members import MemberContract
from backy_core.testing.plans import PlanContract


class BackendContract(PlanContract, KernelContract, MemberContract, CrashContract, FaultContract):
    """Subclass it and name the backend; pytest does the rest.

    Ring one (:class:`PlanContract`) runs anywhere. The others need root, a kernel of their own
    and drives that may be erased; where there are none they are skipped with one sentence, and
    fail instead if ``BACKY_REQUIRE_KERNEL=1``. What survives a reboot is in
    :class:`~backy_core.testing.reboot.RebootContract`, which runs on both sides of one.
    """
