"""Check conditions against the machine's current state.

Each check returns None if the condition holds, otherwise one sentence that says what was found
instead. Administrators read it when an outcome fails to appear.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from backy_core.machine.observer import Observer
from backy_core.operations.patience import PATIENT, Patience
from backy_core.operations.resolve import PoolUnseen, Resolver
from backy_core.sdk.errors import DriveInUse, SystemFailure
from backy_core.sdk.models import DriveId, PoolReport, Signature
from backy_core.sdk.plan import (
    Bears,
    Blank,
    Condition,
    Free,
    LayerIs,
    MemberIs,
    MountedAt,
    NotMounted,
    Plan,
    PoolIs,
    Target,
)
from backy_core.system.clock import Clock
from backy_core.system.machine import Machine
from backy_core.system.mountinfo import MountTree
from backy_core.system.mounts import MountEntry, is_of_pool, mount_at

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.02, 0.5


class Conditions:
    def __init__(
        self,
        observer: Observer,
        resolver: Resolver,
        machine: Machine,
        clock: Clock,
        patience: Patience = PATIENT,
    ) -> None:
        self._observer = observer
        self._resolver = resolver
        self._machine = machine
        self._clock = clock
        self._patience = patience

    async def unmet(
        self, conditions: Iterable[Condition], plan: Plan, *, fresh: bool = True
    ) -> str | None:
        """A sentence for the first condition that does not hold now; None if all do.

        The backend is asked once for all of them; not ``fresh``: only if something happened since
        it was asked last (:meth:`Observer.inspect`).
        """
        pool = _Pool(self._resolver, plan, fresh)
        for condition in conditions:
            try:
                difference = await self._check(condition, plan, pool)
            except SystemFailure as error:
                difference = str(error)
            if difference is not None:
                return difference
        return None

    async def wait(
        self, conditions: tuple[Condition, ...], plan: Plan, *, within_s: float, stable_s: float = 0
    ) -> None:
        """Return once all hold and have held for ``stable_s``; raise after ``within_s``.

        Only udev can reverse them, by assembling an array again: once it has handled every event,
        waiting longer proves nothing.
        Raises :class:`SystemFailure` with what was seen instead.
        """
        if not conditions:
            return
        lasting_s = min(stable_s, self._patience.stable_s)
        deadline = self._clock.monotonic() + within_s
        pause = _FIRST_WAIT_S
        held_since: float | None = None
        while True:
            settled = lasting_s > 0 and await self._machine.kernel.udev_settled(lasting_s)
            difference = await self.unmet(conditions, plan)
            now = self._clock.monotonic()
            held_since = None if difference else (held_since or now)
            if held_since is not None and (settled or now - held_since >= lasting_s):
                return
            if difference is not None and now >= deadline:
                raise SystemFailure("The expected result did not appear", details=difference)
            await self._clock.sleep(pause)
            pause = min(
                pause * 1.5, _LONGEST_WAIT_S, max(lasting_s / 4, 0.05) if not difference else 1
            )

    async def _check(self, condition: Condition, plan: Plan, pool: _Pool) -> str | None:
        match condition:
            case PoolIs():
                return await self._pool_is(condition, plan, pool)
            case LayerIs():
                return _layer_is(condition, await pool.report())
            case MemberIs():
                return _member_is(condition, await pool.report())
            case Bears():
                return await self._bears(condition, plan)
            case Blank():
                found = await self._signatures(condition.on, plan)
                return f"it still holds {_listed(found)}" if found else None
            case Free():
                return await self._free(condition.on.drive, plan)
            case MountedAt():
                return await self._mounted_at(condition, pool)
            case NotMounted():
                entry = mount_at(self._machine.mounts.read_mounts(), condition.path)
                return f"{entry.source} is mounted at {condition.path}" if entry else None

    async def _pool_is(self, condition: PoolIs, plan: Plan, pool: _Pool) -> str | None:
        try:
            return _pool_is(condition, await pool.report())
        except PoolUnseen as unseen:
            if condition.presence != "stopped":
                return str(unseen)
        # Its drives cannot be read, but whether anything runs on them is the kernel's to say.
        for drive in self._connected(plan):
            if busy := await self._in_use(drive):
                return busy
        return None

    def _connected(self, plan: Plan) -> list[DriveId]:
        connected = {drive.id for drive in self._observer.snapshot.drives}
        return [drive for drive in {*plan.drives, *plan.pool.drives} if drive in connected]

    async def _in_use(self, identity: DriveId) -> str | None:
        drive = await self._resolver.drive(identity)
        held = self._machine.devices.holders(drive.name)
        if held:
            return f"drive {identity.serial} is held by {', '.join(held)}"
        return await self._exclusively_openable(drive.node)

    async def _bears(self, condition: Bears, plan: Plan) -> str | None:
        node = await self._resolver.target(condition.on, plan)
        difference = await self._lacks(
            node,
            condition.type,
            lambda signature: (
                signature.type == condition.type and condition.uuid in (None, signature.uuid)
            ),
        )
        return f"it holds {difference}, not {condition.type}" if difference else None

    async def _signatures(self, target: Target, plan: Plan) -> tuple[Signature, ...]:
        return await self._probed(await self._resolver.target(target, plan))

    async def _probed(self, node: str) -> tuple[Signature, ...]:
        name = self._machine.devices.kernel_name(node)
        return (await self._machine.signatures.probe([node]))[name]

    async def _lacks(
        self, node: str, likely: str, wanted: Callable[[Signature], bool]
    ) -> str | None:
        """The device's signatures in words, if none of them matches.

        Usually there is a superblock of the ``likely`` type, which is found quickly. A partition
        table has no superblock, and the kernel's name of a filesystem may differ from libblkid's.
        """
        if any(map(wanted, await self._machine.signatures.probe_for(node, likely))):
            return None
        found = await self._probed(node)
        return None if any(map(wanted, found)) else _listed(found)

    async def _exclusively_openable(self, node: str) -> str | None:
        try:
            async with self._machine.devices.exclusively(node):
                return None
        except DriveInUse as error:
            return str(error)

    async def _free(self, identity: DriveId, plan: Plan) -> str | None:
        drive = await self._resolver.drive(identity)
        held = self._machine.devices.holders(drive.name)
        if held:
            return f"drive {identity.serial} is held by {', '.join(held)}"
        await self._observer.inspect(plan.backend)
        for backend, reports in self._observer.snapshot.reports.items():
            for report in reports:
                if report.member(identity) is not None:
                    return f"drive {identity.serial} is a member of {backend} {report.native_id}"
        return await self._exclusively_openable(drive.node)

    async def _mounted_at(self, condition: MountedAt, pool: _Pool) -> str | None:
        seen_mounts = self._machine.mounts.read_mounts()
        entry = mount_at(seen_mounts, condition.path)
        if entry is None:
            return f"nothing is mounted at {condition.path}"
        if (cover := MountTree(seen_mounts).covers(entry)) is not None:
            return f"{cover.source} is mounted at {cover.path} and covers {condition.path}"
        if condition.read_only and not entry.read_only:
            return f"{entry.source} is mounted at {condition.path} for writing"
        if condition.fs_uuid is None:
            return _own_filesystem(entry, await pool.report())
        difference = await self._lacks(
            entry.source, entry.fstype, lambda signature: signature.uuid == condition.fs_uuid
        )
        return (
            f"{entry.source} with {difference} is mounted at {condition.path}"
            if difference
            else None
        )


class _Pool:
    """The plan's pool as an inspect saw it that began with the first question."""

    def __init__(self, resolver: Resolver, plan: Plan, fresh: bool) -> None:
        self._resolver = resolver
        self._plan = plan
        self._fresh = fresh
        self._seen: list[PoolReport | None] = []

    async def report(self) -> PoolReport | None:
        if not self._seen:
            self._seen.append(await self._resolver.report(self._plan, fresh=self._fresh))
        return self._seen[0]


def _pool_is(condition: PoolIs, report: PoolReport | None) -> str | None:
    if report is not None and condition.container:
        report = report.container
    presence = report.presence if report else "absent"
    if presence == "absent" and condition.presence == "stopped":
        return None  # stopped, and its drives are unplugged
    if presence != condition.presence:
        return f"the pool is {presence}, not {condition.presence}"
    if report and report.degraded and not condition.degraded_ok:
        return "the pool is degraded"
    if report and report.health == "failed" and not condition.failed_ok:
        return "the pool has failed"
    return None


def _layer_is(condition: LayerIs, report: PoolReport | None) -> str | None:
    presence = report.layers[condition.layer].presence if report else "absent"
    if presence == condition.presence:
        return None
    if (presence, condition.presence) == ("absent", "stopped"):
        return None  # it leaves nothing to be seen by while it is closed
    return f"layer {condition.layer} is {presence}, not {condition.presence}"


def _member_is(condition: MemberIs, report: PoolReport | None) -> str | None:
    serial = condition.drive.serial
    members = report.members if report else ()
    state = next((m.state for m in members if m.drive and m.drive.serial == serial), None)
    if state in condition.states or (state is None and not condition.states):
        return None
    return f"drive {serial} is {state or 'not a member'}"


def _own_filesystem(entry: MountEntry, report: PoolReport | None) -> str | None:
    if report is None or report.source is None or not is_of_pool(entry, report):
        return f"{entry.source} is mounted at {entry.path}, not the pool"
    return _lacking(entry)


def _lacking(entry: MountEntry) -> str | None:
    """A pool may come from another host, whoever mounts it."""
    lacking = {"nosuid", "nodev"} - entry.options
    return f"{entry.path} is mounted without {', '.join(sorted(lacking))}" if lacking else None


def _listed(signatures: Iterable[Signature]) -> str:
    return ", ".join(str(signature) for signature in signatures) or "nothing"
