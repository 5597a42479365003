"""The hooks, by which the agent tells what happened."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from backy_core.sdk import hookimpl
from backy_core.sdk.events import OperationRecord, PoolChange, TargetAnswer
from backy_notify.settings import Settings

if TYPE_CHECKING:
    from backy_notify.desk import Desk


class Listener:
    """A desk for each agent that has targets, by the agent's directory."""

    def __init__(self) -> None:
        self.desks: dict[Path, Desk] = {}
        self._lock = threading.Lock()

    @hookimpl
    def backy_settings(self) -> type[Settings]:
        return Settings

    @hookimpl
    def backy_pools_found(
        self, pools: tuple[PoolChange, ...], settings: Settings, directory: Path
    ) -> None:
        if settings.targets:
            self._desk(settings, directory).pools(pools)

    @hookimpl
    def backy_pool_changed(self, change: PoolChange, settings: Settings, directory: Path) -> None:
        if settings.targets:
            self._desk(settings, directory).pools((change,))

    @hookimpl
    def backy_operation_finished(
        self, operation: OperationRecord, settings: Settings, directory: Path
    ) -> None:
        if settings.targets:
            self._desk(settings, directory).operation(operation)

    @hookimpl
    def backy_test_notification(self, settings: Settings) -> list[TargetAnswer]:
        from backy_notify.desk import send_test

        return send_test(settings)

    def _desk(self, settings: Settings, directory: Path) -> Desk:
        from backy_notify.desk import Desk

        with self._lock:
            if directory not in self.desks:
                self.desks[directory] = Desk(settings, directory)
            return self.desks[directory]


listener = Listener()
