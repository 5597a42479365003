"""How members stand to their volume group, and what the group amounts to. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from backy_core.sdk import naming
from backy_core.sdk.levels import named
from backy_core.sdk.models import Health, MemberReport, MemberState, PoolReport, Presence
from backy_lvm.levels import LEVELS
from backy_lvm.naming import APART_TAG, GUID_TAG, VOLUME
from backy_lvm.parse import Group, Member, Volume

_MOVING: dict[str, Health] = {
    "resync": "resync",
    "recover": "recovering",
    "check": "check",
    "repair": "check",
    "reshape": "reshape",
}
_RESTING = ("", "idle", "frozen")
_HARMLESS = ("", "mismatches exist", "writemostly")
"""Of LVM's words for a volume's health, those by which all members are in use."""


class MachineView(NamedTuple):
    """The machine's view of a group's members, by PV UUID: their devices; further devices with the
    same UUID, or of former members that count themselves in; the names of all whole drives; members
    that diverged; and those held by a mapping."""

    devices: Mapping[str, str | None]
    copies: tuple[tuple[str, str], ...]
    drives: frozenset[str]
    apart: frozenset[str]
    held: frozenset[str]
    sector: int | None = None
    """Logical sector size of the volume while it is active."""


def describe(group: Group, view: MachineView) -> PoolReport:
    """The report on one volume group."""
    guid = guid_of(group)
    volume = pool_volume(group, guid)
    members = _members(group, volume, view)
    level = level_of(volume)
    presence = _presence(group, volume)
    doubt = _doubt(volume)
    partial = volume is not None and volume.trouble in ("partial", "refresh needed")
    degraded = partial or any(member.state not in ("active", "spare") for member in members)
    placed = [member for member in members if member.slot is not None]
    working = frozenset(member.slot or 0 for member in placed if member.in_use)
    enough = named(LEVELS, level).survives(len(placed), working)
    lost = volume is not None and not enough
    unusable = _unusable(group, volume, view)
    copies = tuple(
        MemberReport(device=device, handle=uuid, state="diverged") for uuid, device in view.copies
    )
    return PoolReport(
        native_id=guid or group.uuid,
        guid=guid,
        name=None if guid or volume is None else f"{group.name}/{volume.name}",
        level=level,
        presence=presence,
        health=_health(
            volume, members, lost=lost, running=presence == "active", doubt=doubt is not None
        ),
        degraded=degraded,
        device=volume.device if volume and volume.active else None,
        expected_members=len(_in_use(members)),
        members=(*members, *copies),
        sync_percent=_progress(volume),
        detail=unusable
        or _apart((*members, *copies))
        or (_loss(level, members) if lost else None)
        or doubt,
        others=_others(group, volume),
        enough=enough,
        usable=unusable is None,
        member_size=group.member_size,
        sector_size=view.sector,
    )


def guid_of(group: Group) -> str | None:
    """The pool's GUID: name and tag agree. A copy by vgimportclone keeps the tag alone."""
    if group.impostor:
        return None
    guid = naming.guid_of(group.name)
    return guid if guid and GUID_TAG + guid in group.tags else None


def pool_volume(group: Group, guid: str | None) -> Volume | None:
    """The volume that is the pool: ours by name, elsewhere the only visible one."""
    named = [volume for volume in group.visible if volume.name == VOLUME or guid is None]
    return named[0] if len(named) == 1 else None


def _others(group: Group, volume: Volume | None) -> tuple[str, ...]:
    """Volumes and snapshots that somebody made in the group. Where it cannot be told which volume
    is the pool's, all of them."""
    return tuple(other.name for other in group.visible if other is not volume)


def level_of(volume: Volume | None) -> str:
    """Our word for LVM's segment type; its own where we have none, ``none`` without volume."""
    segment = volume.segment if volume else "none"
    if segment in ("striped", "raid0_meta"):
        return "raid0"
    return re.sub(r"^(raid5|raid6|raid10)_\w+$", r"\1", segment)


def _presence(group: Group, volume: Volume | None) -> Presence:
    if volume and volume.active:
        return "active"
    # Parts of a volume whose creation broke off hold their drives.
    return "inactive" if any(part.active or part.odd for part in group.volumes) else "stopped"


def _members(group: Group, volume: Volume | None, view: MachineView) -> tuple[MemberReport, ...]:
    """In slot order; drives that are in the group and hold nothing of the volume come last."""
    images = group.images(volume) if volume else ()
    slots = {uuid: image for image in images for uuid in image.members}
    held = {uuid for volume in group.volumes for uuid in volume.members}
    reports = []
    for member in group.members:
        if member.missing and member.uuid not in held and volume:
            # Replaced or given back; LVM drops it once no other is missing. Its UUID is taken.
            reports.append(MemberReport(device=None, handle=member.uuid, state="spare"))
            continue
        state = _state(member, slots.get(member.uuid), group, volume, held, view)
        reports.append(_report(member, slots.get(member.uuid), state, view))
    return _placed(reports)


def _report(
    member: Member, image: Volume | None, state: MemberState, view: MachineView
) -> MemberReport:
    device = view.devices.get(member.uuid)
    slot = image.slot if image else None
    return MemberReport(device=device, handle=member.uuid, slot=slot, state=state)


def _placed(members: Sequence[MemberReport]) -> tuple[MemberReport, ...]:
    """Slots by image; without images (linear, striped) in LVM's own order."""
    ordered = sorted(members, key=lambda member: (member.state == "spare", member.slot or 0))
    if any(member.slot is not None for member in ordered):
        return tuple(ordered)
    used = [member.state != "spare" for member in ordered]
    return tuple(
        member.model_copy(update={"slot": at if used[at] else None})
        for at, member in enumerate(ordered)
    )


def _state(
    member: Member,
    image: Volume | None,
    group: Group,
    volume: Volume | None,
    held: set[str],
    view: MachineView,
) -> MemberState:
    if view.devices.get(member.uuid) is None:  # known to be left behind, or gone since
        return "stale" if APART_TAG + member.uuid in group.tags else "missing"
    if member.uuid in view.apart:
        return "diverged"
    if member.missing:
        return "stale"
    if member.uuid not in held:
        return "spare"
    if volume is None or not volume.active:
        return "active"
    if member.uuid not in view.held:  # it came back while the volume runs without it
        return "stale"
    if image is None or image.synced:
        return "active"
    if image.trouble:
        return "failed"
    return "rebuilding" if volume.action in ("recover", "idle", "frozen") else "active"


def _in_use(members: Sequence[MemberReport]) -> list[MemberReport]:
    return [member for member in members if member.state != "spare"]


def _health(
    volume: Volume | None,
    members: Sequence[MemberReport],
    *,
    lost: bool,
    running: bool,
    doubt: bool,
) -> Health:
    """One word, the gravest first."""
    if not running or volume is None:
        return "inactive"
    if lost:
        return "failed"
    moving = _MOVING.get(volume.action)
    if moving in ("reshape", "recovering"):
        return moving
    states = {member.state for member in members}
    if states - {"active", "spare", "rebuilding"}:
        return "degraded"
    if "rebuilding" in states:
        return "recovering"
    return "degraded" if doubt else moving or "active"


def _doubt(volume: Volume | None) -> str | None:
    """Why a volume that all members seem to hold may not be whole. LVM reads 100 % in sync also
    of a mirror that was never copied, and of one whose repair failed."""
    if volume is None:
        return None
    if volume.odd:
        return f"LVM reports an unknown activation state: {volume.odd!r}."
    if volume.active and volume.unsynced:
        return "It was made without copying (--nosync), so its members may differ."
    if volume.active and volume.trouble not in _HARMLESS:
        return f"LVM reports it as {volume.trouble!r}."
    if volume.action not in (*_MOVING, *_RESTING):
        return f"LVM runs {volume.action!r} on it, which this agent does not support."
    return None


def _progress(volume: Volume | None) -> float | None:
    if volume is None or not volume.active or volume.action not in _MOVING:
        return None
    return volume.percent


def _unusable(group: Group, volume: Volume | None, view: MachineView) -> str | None:
    """Why this group can be no pool; None if it can."""
    if guid_of(group):
        return None  # also half made: it must be taken down
    if group.impostor:
        return "It is a copy: the kernel runs another volume group as this pool."
    if volume is None:
        return "Only volume groups with a single logical volume can be pools."
    if level_of(volume) not in {level.name for level in LEVELS}:
        return f"Logical volumes of type {volume.segment} cannot be pools."
    if group.exported:
        return "The volume group is exported."
    if any(device not in view.drives for device in view.devices.values() if device):
        return "Only volume groups on whole drives can be pools."
    return None


def _apart(members: Sequence[MemberReport]) -> str | None:
    apart = [member.device or "" for member in members if member.state == "diverged"]
    return f"Used separately from the others, or a copy: {', '.join(apart)}." if apart else None


def _loss(level: str, members: Sequence[MemberReport]) -> str:
    if not named(LEVELS, level).redundant:
        return f"Too few of its drives are there: {level} keeps no copies and needs all of them."
    if not any(member.state == "stale" and member.device for member in members):
        return "Too few of its drives are there to hold all data."
    return (
        "Too many of its drives dropped out while it was in use, and LVM does not take them back "
        'safely. Copy your files out by hand: see "When too many drives dropped out" in the README '
        "of backy-lvm."
    )
