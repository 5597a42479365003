"""Narrow an inspection to what was touched, and join its answer with the backend's last one.

Both fail safe: whatever is unclear gives None, and the backend inspects all its pools.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from operator import attrgetter
from typing import NamedTuple

from backy_core.machine.happened import Touched
from backy_core.machine.inventory import names_of
from backy_core.machine.survey import Answer, Survey
from backy_core.sdk.models import Delivers, PoolReport
from backy_core.sdk.scope import Scope
from backy_core.system.blocks import BlockDevice
from backy_core.system.md_arrays import differing

_NOT_COMPARED = frozenset({"mountpoint", "children", "raw"})
_facts_of = attrgetter(*(f.name for f in fields(BlockDevice) if f.name not in _NOT_COMPARED))


class Standing(NamedTuple):
    """A backend's last answer, which holds for ``survey`` and for the history up to ``mark``.

    ``began``: when the inspection began, by the monotonic clock.
    """

    answer: Answer
    survey: Survey
    mark: int
    began: float


def scope_of(
    touched: Touched, standing: Standing, survey: Survey, delivers: Delivers
) -> Scope | None:
    """The pools that may differ from ``standing``: of what was touched since, of each device that
    differs now, and of all that share a device with one of these."""
    then = standing.survey
    if touched.anything or standing.answer.unreadable or survey.unprobed != then.unprobed:
        return None
    if delivers == "filesystem" and survey.mounts != then.mounts:
        return None
    arrays = _changed_arrays(standing, survey) if touched.arrays else frozenset()
    if arrays is None:
        return None
    facts, facts_then = _facts(survey), _facts(then)
    changed = {name for name in facts | facts_then if facts.get(name) != facts_then.get(name)}
    devices = touched.devices | arrays | changed
    if not devices <= facts.keys() | facts_then.keys():
        return None
    reports = standing.answer.reports
    pools = touched.pools & {report.native_id for report in reports}
    if pools != touched.pools and not touched.devices:
        return None
    return _closed(Scope(pools=pools, devices=devices), reports, (then, survey))


def joined(standing: Standing, scope: Scope, part: Answer, survey: Survey) -> Answer | None:
    """The last answer with ``part``, which was given for ``scope``, in the place of its pools.

    None if it reaches beyond the scope, or if the devices of a pool are not those it had, without
    those that have gone.
    """
    rest = [r for r in standing.answer.reports if r.native_id not in scope.pools]
    before = _devices(r for r in standing.answer.reports if r.native_id in scope.pools)
    after = _devices(part.reports)
    if part.unreadable or after.keys() & {report.native_id for report in rest}:
        return None
    own = {device for report in part.reports for device in _names_in(report)}
    if not own <= scope.devices:
        return None
    present = {device.name for device in survey.devices}
    for native_id in before.keys() | after.keys():
        members = after.get(native_id)
        if native_id not in before:
            if members is None or None in members:
                return None
        elif members is None or members - {None} != before[native_id] & present:
            return None
    return Answer.of((*rest, *part.reports))


def _changed_arrays(standing: Standing, survey: Survey) -> frozenset[str] | None:
    """Names of the md arrays that differ; None if it is unclear what md announced: none differs, or
    the backend has pools on device-mapper, whose RAID volumes md announces and does not list."""
    then, now = standing.survey.arrays, survey.arrays
    if then is None or now is None:
        return None
    if any(r.device and r.device not in {*then, *now} for r in standing.answer.reports):
        return None
    return differing(then, now) or None


def _facts(survey: Survey) -> dict[str, tuple[object, ...]]:
    """All that an inspection can depend on, by device."""
    drives = {d.name: (d.id, d.excluded) for d in survey.drives}
    return {
        device.name: (
            _facts_of(device),
            [child.name for child in device.children],
            survey.signatures.get(device.name),
            drives.get(device.name),
        )
        for device in survey.devices
    }


def _closed(scope: Scope, reports: Iterable[PoolReport], surveys: Iterable[Survey]) -> Scope:
    """The scope with all pools on its devices, their devices, the pools on those, and so on.
    What a device is a part of, or built on, belongs to it, and so do its partitions."""
    related: dict[str, set[str]] = {}
    uuids: dict[str, set[str | None]] = {}
    for survey in surveys:
        for device in survey.devices:
            related.setdefault(device.name, set()).update(device.parents, names_of(device))
        for name, signatures in survey.signatures.items():
            uuids.setdefault(name, set()).update(s.uuid for s in signatures)
    devices: set[str] = set()
    pools, pending = set(scope.pools), set(scope.devices)
    outside = list(reports)
    while pending or any(report.native_id in pools for report in outside):
        while pending:
            name = pending.pop()
            devices.add(name)
            pending |= related.get(name, set()) - devices
        named = {uuid for name in devices for uuid in uuids.get(name, ())}
        pools |= {
            r.native_id for r in outside if r.native_id in named or devices & set(_names_in(r))
        }
        taken = [report for report in outside if report.native_id in pools]
        outside = [report for report in outside if report.native_id not in pools]
        pending = {name for report in taken for name in _names_in(report)} - devices
    return Scope(pools=frozenset(pools), devices=frozenset(devices))


def _names_in(report: PoolReport) -> Iterator[str]:
    """Kernel names of its members and its own device."""
    names = (report.device, *(member.device for member in report.members))
    return (name for name in names if name is not None)


def _devices(reports: Iterable[PoolReport]) -> dict[str, set[str | None]]:
    """Members' devices by native id, None for one without."""
    devices: dict[str, set[str | None]] = {}
    for report in reports:
        devices.setdefault(report.native_id, set()).update(m.device for m in report.members)
    return devices
