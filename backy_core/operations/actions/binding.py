"""Bind an action: resolve its references to nodes, once for each attempt."""

from __future__ import annotations

from collections.abc import Iterator

from backy_core.machine.observer import Observer
from backy_core.operations import filesystems
from backy_core.operations.actions.bound import Binding, BoundAction
from backy_core.operations.actions.mounting import (
    MakeDirectory,
    MountPool,
    RemoveDirectories,
    UnmountPool,
)
from backy_core.operations.actions.programs import CreateFilesystem, RunProgram
from backy_core.operations.actions.wiping import EraseMember, EraseSignatures
from backy_core.operations.resolve import Resolver
from backy_core.sdk.models import DriveId
from backy_core.sdk.plan import (
    Action,
    DriveRef,
    Exec,
    MakeDir,
    MakeFilesystem,
    Mount,
    Plan,
    PoolDevice,
    RemoveDir,
    Target,
    Unmount,
    WipeMember,
    WipeSignatures,
    references,
)
from backy_core.system.machine import Machine


class Binder:
    def __init__(self, observer: Observer, resolver: Resolver, machine: Machine) -> None:
        self._observer = observer
        self._resolver = resolver
        self._machine = machine

    async def bind(self, action: Action, plan: Plan) -> BoundAction:
        """Resolve ``action`` now. Raises :class:`NoPoolDevice` if it needs the pool's device and
        the pool has none, and :class:`SystemFailure` if a drive cannot be identified."""
        nodes = await self._resolver.nodes(references_of(action), plan)
        return await self._bound(
            action, Binding(plan, nodes, self._machine, self._observer, self._resolver)
        )

    async def preview(self, action: Action, plan: Plan) -> str:
        """The command of ``action``, with the pool's device from the last snapshot."""
        nodes = await self._resolver.nodes(references_of(action), plan, preview=True)
        bound = await self._bound(
            action, Binding(plan, nodes, self._machine, self._observer, self._resolver)
        )
        return bound.command()

    async def _bound(self, action: Action, binding: Binding) -> BoundAction:
        match action:
            case Exec():
                return RunProgram(binding, action)
            case WipeMember():
                return EraseMember(binding, action)
            case WipeSignatures():
                return EraseSignatures(binding, action)
            case MakeFilesystem():
                return CreateFilesystem(binding, await self._mkfs(action, binding))
            case Mount():
                return MountPool(binding, action)
            case Unmount():
                return UnmountPool(binding, action)
            case MakeDir():
                return MakeDirectory(binding, action)
            case RemoveDir():
                return RemoveDirectories(binding, action)

    async def _mkfs(self, action: MakeFilesystem, binding: Binding) -> tuple[str, ...]:
        programs, node = self._machine.programs, binding.nodes.node(PoolDevice())
        options = await filesystems.options(programs, action.type, action.portability)
        return filesystems.make_argv(
            action.type, node=node, uuid=action.uuid, label=action.label, options=options
        )


def references_of(action: Action) -> Iterator[Target]:
    """The drives and the pool device that an action needs."""
    match action:
        case Exec(argv=argv):
            for arg in argv:
                yield from references(arg)
        case WipeMember(drive=drive):
            yield DriveRef(drive=drive)
        case WipeSignatures(on=on):
            yield on
        case MakeFilesystem() | Mount():
            yield PoolDevice()


def drives_of(action: Action) -> frozenset[DriveId]:
    """The drives an action writes to directly."""
    return frozenset(ref.drive for ref in references_of(action) if isinstance(ref, DriveRef))
