"""Inspect every array and every stamped drive, read-only.

Running arrays are read from ``/proc/mdstat`` and sysfs, without a process. ``mdadm --examine``
is run only if a stamped drive belongs to no running array: its superblock then says whether it is
stale or diverged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from backy_core.sdk import hookimpl
from backy_core.sdk.models import (
    Health,
    MemberReport,
    MemberState,
    PoolReport,
    Presence,
    Probe,
    Signature,
    Unreadable,
)
from backy_core.sdk.scope import Scope
from backy_mdadm import features, parse, standing
from backy_mdadm.examine import superblocks
from backy_mdadm.kernel import kernel_arrays, stop_command
from backy_mdadm.naming import SIGNATURE, array_name
from backy_mdadm.parse import KernelArray, KernelMember, Superblock

_SUPERBLOCK_AHEAD = 4096
"""Where superblocks of version 1.1 and 1.2 lie at most; 1.0 and 0.90 are at the end."""

_NOBODY = "No member of the array is in use to compare it with."
_UNREADABLE = "Its superblock cannot be read."
_SPEAKING: frozenset[MemberState] = frozenset(("active", "rebuilding", "spare"))


class _Found(NamedTuple):
    """All that was found of one array UUID. Devices are kernel names."""

    uuid: str
    arrays: tuple[KernelArray, ...]
    """The running one first; more than one only where someone assembled its halves apart."""
    stamped: tuple[Signature, ...]
    blocks: Mapping[str, Superblock]
    rivals: tuple[str, ...] = ()
    """All running arrays with this UUID where there are several, each with its own ``_Found``."""

    @property
    def array(self) -> KernelArray | None:
        return self.arrays[0] if self.arrays else None

    @property
    def devices(self) -> tuple[str, ...]:
        held = (member.device for array in self.arrays for member in array.members)
        return tuple(sorted({*held, *(stamp.device for stamp in self.stamped)}))

    @property
    def label(self) -> str | None:
        """The name in the superblocks, without the host that made the array. Members that the
        kernel holds come first: another drive may have a copied UUID under another name."""
        held = {member.device for member in self.array.members} if self.array else set()
        stamps = sorted(self.stamped, key=lambda stamp: stamp.device not in held)
        labels = (stamp.label for stamp in stamps if stamp.label)
        return next((label.rpartition(":")[2] for label in labels), None)

    @property
    def guid(self) -> str | None:
        return self.uuid if self.label == array_name(self.uuid) else None

    def strays(self) -> tuple[str, ...]:
        """Devices that no running array holds, or the wrong one."""
        if self.array is None or not self.array.running:
            return self.devices
        held = {member.device for member in self.array.members}
        return tuple(device for device in self.devices if device not in held)


@hookimpl
async def backy_inspect(probe: Probe, only: Scope | None) -> Sequence[PoolReport | Unreadable]:
    return await arrays(probe, only)


async def arrays(probe: Probe, only: Scope | None = None) -> tuple[PoolReport | Unreadable, ...]:
    """A report for every array, running, inactive, or only stamped on drives, and each stamped
    device whose superblock was asked for and cannot be read. ``only``: of those in it."""
    assembled = await kernel_arrays(probe, only)
    signed = [stamp for stamp in probe.signatures if stamp.type == SIGNATURE]
    stamps = [stamp for stamp in signed if stamp.uuid]
    nameless = {stamp.device for stamp in signed} - {stamp.device for stamp in stamps}
    candidates = _by_uuid(assembled, stamps)
    blocks, unreadable = await _superblocks(probe, candidates)
    examined = [await _told(probe, candidate._replace(blocks=blocks)) for candidate in candidates]
    array_names = {array.name for candidate in candidates for array in candidate.arrays}
    foreign = [array for array in assembled if array.name not in array_names]
    return (
        *(report for report in examined if report),
        *(_foreign(array, foreign) for array in foreign),
        *unreadable,
        *map(_nameless, sorted(nameless)),
    )


def _by_uuid(arrays: Iterable[KernelArray], stamps: Iterable[Signature]) -> tuple[_Found, ...]:
    held: dict[str, list[KernelArray]] = {}
    stamped: dict[str, list[Signature]] = {}
    for stamp in stamps:
        stamped.setdefault(stamp.uuid or "", []).append(stamp)
    uuid_on = {stamp.device: uuid for uuid, group in stamped.items() for stamp in group}
    for array in sorted(arrays, key=lambda array: not array.running):
        uuid = array.uuid or next(
            (uuid_on[member.device] for member in array.members if member.device in uuid_on), None
        )
        if uuid and not array.external:
            held.setdefault(uuid, []).append(array)
    together = (
        _Found(uuid, tuple(held.get(uuid, ())), tuple(stamped.get(uuid, ())), {})
        for uuid in sorted({*held, *stamped})
    )
    return tuple(part for candidate in together for part in _each_running(candidate))


def _each_running(candidate: _Found) -> tuple[_Found, ...]:
    """One for each running array: halves that both run, or copies of the drives assembled beside
    them, are written to apart. What no other one holds goes with the first."""
    running = tuple(array for array in candidate.arrays if array.running)
    if len(running) < 2:
        return (candidate,)
    first, *other_arrays = running
    held = [{member.device for member in array.members} for array in other_arrays]
    own = [
        tuple(signature for signature in candidate.stamped if signature.device in devices)
        for devices in held
    ]
    rest = tuple(
        signature
        for signature in candidate.stamped
        if not any(signature in stamps for stamps in own)
    )
    idle = tuple(array for array in candidate.arrays if not array.running)
    names = tuple(array.name for array in running)
    return (
        candidate._replace(arrays=(first, *idle), stamped=rest, rivals=names),
        *(
            candidate._replace(arrays=(array,), stamped=stamps, rivals=names)
            for array, stamps in zip(other_arrays, own, strict=True)
        ),
    )


async def _superblocks(
    probe: Probe, candidates: Iterable[_Found]
) -> tuple[Mapping[str, Superblock], list[Unreadable]]:
    """Superblocks by device, of arrays with strays alone: the running half speaks too."""
    uuids = {
        device: candidate.uuid
        for candidate in candidates
        if candidate.strays()
        for device in candidate.devices
    }
    return await superblocks(probe, uuids) if uuids else ({}, [])


def _nameless(device: str) -> Unreadable:
    return Unreadable(device=device, reason="its md superblock has no readable UUID")


async def _told(probe: Probe, candidate: _Found) -> PoolReport | None:
    report = _report(candidate)
    if report is None:
        return None
    requires = await features.required(probe, candidate.array, candidate.stamped)
    return _with_stamps(report.model_copy(update={"requires": requires}), candidate.stamped)


def _report(candidate: _Found) -> PoolReport | None:
    """None for an array that the kernel does not know and of which no superblock can be read."""
    array = candidate.array
    if array is None and candidate.blocks.keys().isdisjoint(candidate.devices):
        return None
    report = _running(candidate, array) if array and array.running else _resting(candidate)
    doubt = (array and array.doubt) or _rivalry(candidate.rivals)
    return _in_doubt(report, doubt) if doubt else report


def _rivalry(names: Sequence[str]) -> str | None:
    """Neither can be told for the pool, so a person stops the one that is not wanted."""
    if not names:
        return None
    return (
        f"{len(names)} arrays with the same UUID are running ({', '.join(names)}): "
        "stop those that are copies."
    )


def _with_stamps(report: PoolReport, stamped: Iterable[Signature]) -> PoolReport:
    """The report with what each member's superblock alone tells: who it is, and where it lies."""
    stamps = {stamp.device: stamp for stamp in stamped}
    members = (_stamped(member, stamps.get(member.device or "")) for member in report.members)
    return report.model_copy(update={"members": tuple(members)})


def _stamped(member: MemberReport, stamp: Signature | None) -> MemberReport:
    if stamp is None:
        return member
    # Version 0 gives a member no UUID of its own; of those in good standing the slot tells.
    good = member.slot is not None and member.state in ("active", "diverged")
    handle = stamp.member or (f"slot {member.slot}" if good else None)
    shows = stamp.offset > _SUPERBLOCK_AHEAD
    return member.model_copy(update={"handle": handle, "content_shows": shows})


def _in_doubt(report: PoolReport, doubt: str) -> PoolReport:
    """It holds its drives, and nothing is planned for it."""
    health: Health = "failed" if report.presence == "active" else report.health
    release = stop_command([report.device]) if report.device else None
    update = {"health": health, "detail": doubt, "usable": False, "release": release}
    return report.model_copy(update=update)


def _running(candidate: _Found, array: KernelArray) -> PoolReport:
    held = [_held(member) for member in array.members]
    working = frozenset(
        member.slot for member in held if member.state == "active" and member.slot is not None
    )
    strays = _strays(candidate, held, working)
    failed = array.broken or not standing.survives(
        array.level or "", array.layout, array.slots, working
    )
    degraded = len(working) < array.slots or bool(array.with_bad_blocks)
    rebuilding = any(member.state == "rebuilding" for member in held)
    health = standing.health(array, failed=failed, degraded=degraded, rebuilding=rebuilding)
    # mdstat is read before sysfs: what it shows in progress may have ended in between.
    syncing = health != "active"
    return PoolReport(
        native_id=candidate.uuid,
        guid=candidate.guid,
        name=candidate.label,
        level=array.level or "unknown",
        presence="active",
        health=health,
        degraded=degraded,
        device=array.name,
        expected_members=array.slots,
        members=standing.with_missing((*held, *strays), array.slots),
        sync_percent=array.listed.percent if syncing else None,
        sync_minutes=array.listed.minutes if syncing else None,
        detail=standing.condition(array) or _apart(strays, candidate) or _doubted(strays),
        member_size=array.member_size,
        sector_size=array.sector,
    )


def _held(member: KernelMember) -> MemberReport:
    return MemberReport(
        device=member.device if member.present else None,
        slot=member.slot,
        state=standing.kernel_standing(member),
    )


def _strays(
    candidate: _Found, held: Iterable[MemberReport], working: frozenset[int]
) -> tuple[MemberReport, ...]:
    """Stamped drives beside the running array. Only a member in use can show that one diverged;
    without such a member, or without a readable superblock, the drive counts as stale."""
    current = [
        candidate.blocks.get(member.device or "") for member in held if member.state == "active"
    ]
    judge = standing.newest(block for block in current if block)
    elsewhere = {member.device for array in candidate.arrays[1:] for member in array.members}

    def report(device: str) -> MemberReport:
        block = candidate.blocks.get(device)
        if judge is None:
            return _doubtful(device, block, _NOBODY)
        if block is None:
            return _doubtful(device, None, _UNREADABLE)
        if device in elsewhere:
            return MemberReport(device=device, state="diverged")
        state = standing.standing(block, judge, working)
        outside: MemberState = "stale" if state in _SPEAKING else state
        return _by_superblock(device, block, judge, outside)

    return tuple(report(device) for device in candidate.strays())


def _doubtful(device: str, block: Superblock | None, why: str) -> MemberReport:
    slot = block.role if block else None
    return MemberReport(device=device, slot=slot, state="stale", doubt=why)


def _resting(candidate: _Found) -> PoolReport:
    """An array that does not run, by what its members' superblocks say."""
    judge = standing.newest(
        candidate.blocks[device] for device in candidate.devices if device in candidate.blocks
    )
    slots = judge.slots if judge else len(candidate.devices)
    members = _judged(candidate, judge)
    good = {member.slot for member in members if member.state == "active"}
    presence: Presence = "inactive" if candidate.array else "stopped"
    return PoolReport(
        native_id=candidate.uuid,
        guid=candidate.guid,
        name=candidate.label,
        level=judge.level if judge else "unknown",
        presence=presence,
        health="inactive",
        degraded=len(good) < slots,
        device=candidate.array.name if candidate.array else None,
        expected_members=slots,
        members=standing.with_missing(members, slots, judge),
        detail=_apart(members, candidate) or _doubted(members),
        needs_force=standing.needs_force(judge, members) if judge else None,
    )


def _judged(candidate: _Found, judge: Superblock | None) -> tuple[MemberReport, ...]:
    """Each member by its own superblock; a second one that claims a slot is a copy."""
    reports: list[MemberReport] = []
    taken: Counter[int] = Counter()
    order = sorted(candidate.devices, key=lambda device: candidate.blocks.get(device) is not judge)
    for device in order:
        block = candidate.blocks.get(device)
        if block is None or judge is None:
            reports.append(_doubtful(device, None, _UNREADABLE))
            continue
        state = standing.standing(block, judge, standing.live_slots(judge))
        if state == "active" and block.role is not None:
            taken[block.role] += 1
            state = "active" if taken[block.role] == 1 else "diverged"
        reports.append(_by_superblock(device, block, judge, state))
    return tuple(reports)


def _by_superblock(
    device: str, block: Superblock, judge: Superblock, state: MemberState
) -> MemberReport:
    forced = state == "active" and block.role not in standing.live_slots(judge)
    behind = standing.FORCED if forced else standing.behind(block, judge)
    return MemberReport(device=device, slot=block.role, state=state, behind=behind)


def _foreign(array: KernelArray, foreign: Sequence[KernelArray]) -> PoolReport:
    """An array without a UUID of md's own: firmware RAID, or built without superblocks."""
    return PoolReport(
        native_id=f"{array.metadata or 'none'}/{array.name}",
        guid=None,
        level=array.level or "container",
        presence="active" if array.running else "inactive",
        health="active" if array.running else "inactive",
        device=array.name,
        expected_members=array.slots or len(array.members),
        members=tuple(map(_held, array.members)),
        detail="Firmware RAID and arrays without superblocks cannot be used as pools.",
        usable=False,
        release=stop_command(_set_of(array, foreign)),
    )


def _set_of(array: KernelArray, foreign: Sequence[KernelArray]) -> tuple[str, ...]:
    """The arrays of one firmware RAID set in the order they can be stopped: a container is held by
    its volumes, whose metadata name it (``external:/md127/0``)."""
    container = parse.container_of(array) or array.name
    volumes = (
        signature.name for signature in foreign if parse.container_of(signature) == container
    )
    return (*volumes, container)


def _doubted(members: Iterable[MemberReport]) -> str | None:
    devices = [member.device or "" for member in members if member.doubt == _UNREADABLE]
    return f"The superblock of {', '.join(devices)} cannot be read." if devices else None


def _apart(members: Iterable[MemberReport], candidate: _Found) -> str | None:
    if len(candidate.arrays) > 1:
        names = " and ".join(array.name for array in candidate.arrays)
        return f"Members of this array were assembled separately, as {names}."
    devices = [member.device or "" for member in members if member.state == "diverged"]
    if devices:
        return f"Used separately from the others, or a copy: {', '.join(devices)}."
    return None
