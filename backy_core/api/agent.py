"""The agent that the HTTP edge serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from backy_core.operations.registry import OperationRegistry
from backy_core.plugins.host import PluginHost
from backy_core.pools.doctor.doctor import Doctor
from backy_core.pools.drive_service import DriveService
from backy_core.pools.service import PoolService
from backy_core.store.audit import AuditLog
from backy_core.store.changes import Changes
from backy_core.store.keys import Keys
from backy_core.system.clock import Clock


class Agent(Protocol):
    """The use cases and what they were composed of, as the composition root hands them in."""

    @property
    def keys(self) -> Keys: ...
    @property
    def audit(self) -> AuditLog: ...
    @property
    def doctor(self) -> Doctor: ...
    @property
    def agent_instance(self) -> str: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def changes(self) -> Changes: ...
    @property
    def machine_changed_at(self) -> float:
        """When the machine last showed a change, by the monotonic clock."""

    @property
    def host(self) -> PluginHost: ...
    @property
    def backend_problems(self) -> Mapping[str, str]: ...
    @property
    def operations(self) -> OperationRegistry: ...
    @property
    def pools(self) -> PoolService: ...
    @property
    def drives_service(self) -> DriveService: ...
