"""Running a backend's program, and making a filesystem."""

from __future__ import annotations

import shlex
from functools import partial

from backy_core.operations.actions.bound import Binding, BoundAction, Context
from backy_core.sdk.errors import SystemFailure
from backy_core.sdk.plan import Condition, Exec, PoolDevice
from backy_core.system.exec import CommandFailed
from backy_core.system.mounts import mount_at

_LOOK_S = 10.0


class RunProgram(BoundAction):
    def __init__(self, binding: Binding, action: Exec) -> None:
        super().__init__(binding)
        self._action = action
        self._argv = self.nodes.argv(action.argv)

    def command(self) -> str:
        return shlex.join(self._argv)

    async def _perform(self, context: Context) -> tuple[Condition, ...]:
        if self._plan.mounts_itself:
            await self._refuse_place(self._plan.pool.mount_path, context)
        try:
            await self._run(self._argv, context, ok_codes=self._action.ok_codes)
        except CommandFailed as error:
            error.final = error.final or error.outcome.says(self._action.final_words)
            raise
        finally:  # a program that failed may have written all the same
            self._touched()
        return ()

    async def _refuse_place(self, path: str | None, context: Context) -> None:
        """Refuse a program that mounts by path where anyone but root can redirect the path."""
        mounts = self._machine.mounts
        if path is None or context.undoing or mount_at(mounts.read_mounts(), path):
            return
        check = partial(self._machine.directories.check, path)
        try:
            await self._machine.threads.in_thread(check, f"look at {path}", _LOOK_S)
        except TimeoutError as error:
            raise SystemFailure(f"Mount path {path} does not answer") from error


class CreateFilesystem(BoundAction):
    """``argv`` depends on the version of mkfs that is installed."""

    def __init__(self, binding: Binding, argv: tuple[str, ...]) -> None:
        super().__init__(binding)
        self._argv = argv

    def command(self) -> str:
        return shlex.join(self._argv)

    async def _perform(self, context: Context) -> tuple[Condition, ...]:
        await self._run(self._argv, context)
        self._observer.forget_signatures([self.nodes.name(PoolDevice())])
        return ()
