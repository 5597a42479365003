"""Inspect volume groups: one process for all of them, none if no drive has an LVM signature.

A second process for each stale member reads the member's own metadata.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from backy_core.sdk import hookimpl
from backy_core.sdk.errors import SystemFailure
from backy_core.sdk.models import PoolReport, Probe, Unreadable
from backy_core.sdk.scope import Scope
from backy_lvm.naming import APART_TAG, SIGNATURE
from backy_lvm.parse import (
    Group,
    Member,
    complaint,
    failed_scans,
    mismatched,
    parse_report,
    parse_unused,
    report_command,
)
from backy_lvm.standing import MachineView, describe, guid_of, pool_volume

_MAPPED = re.compile(r"backy--((?:[0-9a-f]+--){4}[0-9a-f]{12})-pool")
_UUID_LETTERS = 32
_SETTLED = (0, 5)
"""Exit statuses with a report: 5 if LVM failed for some group, which the report then lacks."""


class _Told(NamedTuple):
    """LVM's report of some devices. ``unused``: UUIDs of physical volumes in no group."""

    groups: tuple[Group, ...]
    unused: frozenset[str]
    mismatches: frozenset[str]
    words: str


_NOTHING = _Told((), frozenset(), frozenset(), "")


class _Mapped(NamedTuple):
    """A pool that device-mapper runs; ``group``: the UUID of its volume group, without dashes."""

    device: str
    group: str


@hookimpl
async def backy_inspect(probe: Probe, only: Scope | None) -> tuple[PoolReport | Unreadable, ...]:
    """Every volume group, also those that cannot be pools, and each device that LVM tells of no
    group for; ``only``: of those in it. SystemFailure if LVM fails altogether."""
    bearers = {sig.device: sig.uuid or "" for sig in probe.signatures if sig.type == SIGNATURE}
    before = await _mapped(probe, only)
    answer = await _ask(probe, tuple(bearers)) if bearers else _NOTHING
    mapped = {
        guid: mapping
        for guid, mapping in (await _mapped(probe, only)).items()
        if mapping == before.get(guid)
    }
    unreadable = _unreadable(answer, bearers)
    seen = [
        await _report(probe, group, bearers, answer.mismatches)
        for group in _told_apart(answer, mapped)
    ]
    # What the kernel runs is active, whatever the drives say.
    reports = [report for report in seen if report.device or report.native_id not in mapped]
    reported_ids = {report.native_id for report in reports}
    orphans = (
        _orphan(guid, mapping.device, unreadable)
        for guid, mapping in mapped.items()
        if guid not in reported_ids
    )
    return (*reports, *orphans, *unreadable)


async def _report(
    probe: Probe, found: Group, bearers: Mapping[str, str], mismatches: Collection[str]
) -> PoolReport:
    whole = frozenset(drive.name for drive in probe.drives)
    group = await _as_used(probe, found, bearers)
    devices = _devices(group, bearers)
    own = await _own_views(probe, group, devices)
    elsewhere = {member.uuid for member in found.members} - set(devices)
    copies = tuple(
        (uuid, device)
        for device, uuid in bearers.items()
        if (uuid in devices and device != devices[uuid]) or uuid in elsewhere
    )
    held = await _held(probe, devices)
    away = _apart(group, devices, own, mismatches, held)
    view = MachineView(devices, copies, whole, away, held, await _sector(probe, group))
    return describe(group, view)


async def _ask(probe: Probe, devices: Iterable[str]) -> _Told:
    done = await probe.run(*report_command([f"/dev/{device}" for device in devices]))
    if done.code not in _SETTLED:
        raise SystemFailure("LVM cannot report its volume groups", details=done.stderr.strip())
    try:
        groups, unused = parse_report(done.stdout), parse_unused(done.stdout)
    except ValueError as error:
        raise SystemFailure("LVM's report cannot be read", details=str(error)) from error
    return _Told(groups, unused, mismatched(done.stderr), done.stderr)


def _unreadable(answer: _Told, bearers: Mapping[str, str]) -> tuple[Unreadable, ...]:
    """Devices whose content LVM does not account for: nothing that they hold counts as gone."""
    members = {member.uuid for group in answer.groups for member in group.members}
    unused = answer.unused - {bearers.get(device, "") for device in failed_scans(answer.words)}
    lost = [device for device, uuid in bearers.items() if uuid not in members | unused]
    return tuple(
        Unreadable(
            device=device,
            reason=complaint(answer.words, device) or "LVM does not report what it holds",
        )
        for device in lost
    )


def _told_apart(answer: _Told, mapped: Mapping[str, _Mapped]) -> list[Group]:
    """Of several groups with the name of a running pool, keep the one that the kernel runs."""
    running = {guid: mapping.group for guid, mapping in mapped.items() if mapping.group}
    return [
        group._replace(impostor=running.get(guid_of(group) or "", uuid) != uuid)
        for group in answer.groups
        for uuid in (group.uuid.replace("-", ""),)
    ]


async def _as_used(probe: Probe, group: Group, bearers: Mapping[str, str]) -> Group:
    """The group as the members in use tell of it. LVM believes whoever counted further, which may
    be one that came back while the volume runs without it, or that was replaced meanwhile."""
    volume = pool_volume(group, guid_of(group))
    devices = _devices(group, bearers)
    counted = {member.uuid for member in group.members if not member.missing}
    filled = {uuid for volume in group.volumes for uuid in volume.members}
    idle = filled & counted - await _held(probe, devices)
    used = [device for device, uuid in bearers.items() if uuid not in idle]
    if volume is None or not volume.active or not idle or not used:
        return group
    answer = await _ask(probe, used)
    again = (reread for reread in answer.groups if reread.uuid == group.uuid)
    return next(again, group)._replace(impostor=group.impostor)


def _devices(group: Group, bearers: Mapping[str, str]) -> dict[str, str | None]:
    return {member.uuid: _device(member, bearers) for member in group.members}


def _device(member: Member, bearers: Mapping[str, str]) -> str | None:
    """Kernel name of a member's node, by the signature: LVM may show any of its links. Of two
    drives with one UUID (a copy) it is the one LVM uses."""
    bearers_of_member = [device for device, uuid in bearers.items() if uuid == member.uuid]
    named = member.node.removeprefix("/dev/")
    return named if named in bearers_of_member else next(iter(bearers_of_member), None)


async def _own_views(
    probe: Probe, group: Group, devices: Mapping[str, str | None]
) -> dict[str, frozenset[str]]:
    """The tags in the metadata of each member that is here and counts as missing."""
    views = {}
    for member in group.members:
        device = devices[member.uuid]
        if member.missing and device:
            alone = (await _ask(probe, [device])).groups
            views[member.uuid] = next(
                (view.tags for view in alone if view.uuid == group.uuid), None
            )
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
    present_uuids = {member.uuid for member in group.members if not member.missing}
    used = present_uuids & held if volume and volume.active else present_uuids
    marks = {APART_TAG + uuid for uuid in used}
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


async def _mapped(probe: Probe, only: Scope | None) -> dict[str, _Mapped]:
    """The pools of ours that run, by GUID, whatever LVM says."""
    names = [
        name
        for name in await probe.listdir("/sys/block")
        if name.startswith("dm-") and (only is None or only.concerns(name))
    ]
    titles = await probe.read(*(f"/sys/block/{name}/dm/name" for name in names))
    ids = await probe.read(*(f"/sys/block/{name}/dm/uuid" for name in names))
    mapped = {}
    for name, title, text in zip(names, titles, ids, strict=True):
        if match := _MAPPED.fullmatch((title or "").strip()):
            group = (text or "").removeprefix("LVM-")[:_UUID_LETTERS]
            mapped[match[1].replace("--", "-")] = _Mapped(name, group)
    return mapped


def _orphan(guid: str, device: str, unreadable: Collection[Unreadable]) -> PoolReport:
    """A pool that device-mapper alone knows: its members left the machine while it ran, or what
    LVM keeps on them was damaged."""
    gone = "None of its drives is connected any more."
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
        detail="It runs, but LVM can no longer read its drives." if unreadable else gone,
    )
