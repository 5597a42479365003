"""Looking at volume groups: one process for all of them, none where no drive bears LVM.

A second process, per member, asks what a member that was left behind says itself.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from backy_core.sdk.errors import SystemFailure
from backy_core.sdk.models import PoolReport, Probe
from backy_lvm import argv
from backy_lvm.naming import SIGNATURE
from backy_lvm.parse import Group, Member, mismatched, parse_report
from backy_lvm.standing import Sight, describe, guid_of, pool_volume

_MAPPED = re.compile(r"backy--((?:[0-9a-f]+--){4}[0-9a-f]{12})-pool")


async def look(probe: Probe) -> tuple[PoolReport, ...]:
    """Every volume group, also those that cannot be pools. SystemFailure if LVM fails."""
    bearers = {sig.device: sig.uuid or "" for sig in probe.signatures if sig.type == SIGNATURE}
    groups, apart = await _groups(probe, tuple(bearers)) if bearers else ((), frozenset())
    whole = frozenset(drive.name for drive in probe.drives)
    reports = []
    for found in groups:
        group = await _as_used(probe, found, bearers)
        devices = _devices(group, bearers)
        own = await _own_views(probe, group, devices)
        copies = tuple(
            (uuid, device)
            for device, uuid in bearers.items()
            if uuid in devices and device != devices[uuid]
        )
        held = await _held(probe, devices)
        away = _apart(group, devices, own, apart, held)
        sight = Sight(devices, copies, whole, away, held, await _sector(probe, group))
        reports.append(describe(group, sight))
    known = {report.native_id for report in reports}
    return (*reports, *(it for it in await _orphans(probe) if it.native_id not in known))


async def _groups(probe: Probe, devices: Iterable[str]) -> tuple[tuple[Group, ...], frozenset[str]]:
    done = await probe.run(*argv.report([f"/dev/{device}" for device in devices]))
    # A pool that is not listed counts as gone, so half an answer is none.
    if done.code != 0:
        raise SystemFailure("LVM cannot report its volume groups", details=done.stderr.strip())
    try:
        return parse_report(done.stdout), mismatched(done.stderr)
    except ValueError as error:
        raise SystemFailure("LVM's report cannot be read", details=str(error)) from error


async def _as_used(probe: Probe, group: Group, bearers: Mapping[str, str]) -> Group:
    """The group as the members in use tell of it. LVM believes whoever counted further, which may
    be one that came back while the volume runs without it."""
    volume = pool_volume(group, guid_of(group))
    devices = _devices(group, bearers)
    counted = {member.uuid for member in group.members if not member.missing}
    filled = {uuid for it in group.volumes for uuid in it.members}
    idle = filled & counted - await _held(probe, devices)
    used = [device for device, uuid in bearers.items() if uuid not in idle]
    if volume is None or not volume.active or not idle or not used:
        return group
    groups, _ = await _groups(probe, used)
    return next((it for it in groups if it.uuid == group.uuid), group)


def _devices(group: Group, bearers: Mapping[str, str]) -> dict[str, str | None]:
    return {member.uuid: _device(member, bearers) for member in group.members}


def _device(member: Member, bearers: Mapping[str, str]) -> str | None:
    """Kernel name of a member's node, by the signature: LVM may show any of its links. Of two
    drives with one UUID (a copy) it is the one LVM uses."""
    found = [device for device, uuid in bearers.items() if uuid == member.uuid]
    named = member.node.removeprefix("/dev/")
    return named if named in found else next(iter(found), None)


async def _own_views(
    probe: Probe, group: Group, devices: Mapping[str, str | None]
) -> dict[str, frozenset[str]]:
    """The tags in the metadata of each member that is here and counts as missing."""
    views = {}
    for member in group.members:
        device = devices[member.uuid]
        if member.missing and device:
            alone, _ = await _groups(probe, [device])
            views[member.uuid] = next((it.tags for it in alone if it.uuid == group.uuid), None)
    return {uuid: tags for uuid, tags in views.items() if tags is not None}


def _apart(
    group: Group,
    devices: Mapping[str, str | None],
    own: Mapping[str, frozenset[str]],
    mismatches: Collection[str],
    held: frozenset[str],
) -> frozenset[str]:
    """Members that were used without one that is in use now: of an active volume only what it is
    mapped on is."""
    volume = pool_volume(group, guid_of(group))
    there = {member.uuid for member in group.members if not member.missing}
    used = there & held if volume and volume.active else there
    marks = {argv.APART_TAG + uuid for uuid in used}
    clashing = {uuid for uuid, device in devices.items() if f"/dev/{device}" in mismatches}
    apart = frozenset({uuid for uuid, tags in own.items() if tags & marks} | clashing)
    return apart if used else frozenset()


async def _sector(probe: Probe, group: Group) -> int | None:
    volume = pool_volume(group, guid_of(group))
    if volume is None or volume.device is None:
        return None
    (text,) = await probe.read(f"/sys/block/{volume.device}/queue/logical_block_size")
    return int(text) if text and text.strip().isdecimal() else None


async def _held(probe: Probe, devices: Mapping[str, str | None]) -> frozenset[str]:
    """Members that a mapping lies on."""
    held = {
        uuid: await probe.listdir(f"/sys/class/block/{device}/holders")
        for uuid, device in devices.items()
        if device
    }
    return frozenset(uuid for uuid, holders in held.items() if holders)


async def _orphans(probe: Probe) -> list[PoolReport]:
    """Pools whose members all left the machine while they ran: only device-mapper knows them."""
    names = [name for name in await probe.listdir("/sys/block") if name.startswith("dm-")]
    texts = await probe.read(*(f"/sys/block/{name}/dm/name" for name in names))
    found = {
        name: _MAPPED.fullmatch((text or "").strip())
        for name, text in zip(names, texts, strict=True)
    }
    return [_orphan(match[1].replace("--", "-"), name) for name, match in found.items() if match]


def _orphan(guid: str, device: str) -> PoolReport:
    return PoolReport(
        native_id=guid,
        guid=guid,
        level="unknown",
        presence="active",
        health="failed",
        degraded=True,
        device=device,
        expected_members=0,
        members=(),
        detail="None of its drives is connected any more.",
    )
