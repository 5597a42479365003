"""The kit for testing a backend. Needs pytest; not part of the running agent.

Subclass :class:`BackendContract`; ``docs/writing-a-plugin.md`` says how to run it.
"""

from backy_core.testing.contract import BackendContract
from backy_core.testing.faults import FaultContract
from backy_core.testing.kernel import KernelContract
from backy_core.testing.plans import PlanContract
from backy_core.testing.reboot import RebootContract

__all__ = [
    "BackendContract",
    "FaultContract",
    "KernelContract",
    "PlanContract",
    "RebootContract",
]
