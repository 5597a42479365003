"""The wording of messages: which pool, what happened, since when, which drive, what to do."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from backy_core.sdk.events import OperationRecord, PoolChange, PoolDrive
from backy_notify.conditions import Condition, members_by_serial, working_members

AlertType = Literal["info", "success", "warning", "failure"]
_PLAIN_LABEL = re.compile(r"\w[\w .@+-]*")
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


class Alert(NamedTuple):
    """One message. ``type`` is apprise's."""

    type: AlertType
    title: str
    body: str


def of_conditions(host: str, change: PoolChange, since: Mapping[Condition, datetime]) -> Alert:
    """The new conditions of a pool, each with the moment that it was first seen."""
    pool = change.pool
    assert pool is not None
    names = {condition.name for condition in since}
    happened = _summary(names)
    drives = {drive.serial: drive for drive in pool.drives}
    lines = [f"{_introduced(change)} {happened} since {_moment(min(since.values()))}."]
    if change.after is not None:
        working, expected = working_members(change.after), change.after.expected_members
        lines.append(f"{working} of {expected} members work.")
    for condition in sorted(since):
        if condition.subject:
            lines += _of_drive(change, condition, drives[condition.subject])
    if "absent" in names:
        lines.append(f"It needs {_listed(pool.drives)}.")
        lines.append("Connect its drives; the agent then opens it.")
    lines.append(f"See: backy pools show {_name(pool.label, pool.guid)}")
    kind: AlertType = "failure" if names & {"failed", "absent"} else "warning"
    return Alert(kind, f"{host}: pool {_shown(pool.label, pool.guid)} {happened}", "\n".join(lines))


def of_whole_pool(host: str, change: PoolChange) -> Alert:
    """A pool that has all its members again."""
    pool, report = change.pool, change.after
    assert pool is not None and report is not None
    title = f"{host}: pool {_shown(pool.label, pool.guid)} is complete again"
    body = (
        f"{_introduced(change)} is complete since {_moment(change.seen_at)}: all "
        f"{report.expected_members} members are in sync.\n"
        f"See: backy pools show {_name(pool.label, pool.guid)}"
    )
    return Alert("success", title, body)


def of_failure(host: str, operation: OperationRecord) -> Alert:
    """An operation that failed."""
    label = _shown(operation.pool_label, operation.pool_guid)
    body = (
        f"The operation {operation.kind} of pool {_titled(operation)} failed at "
        f"{_moment(operation.finished_at)}.\n{_ending(operation)}"
        f"See: backy pools outputs {_name(operation.pool_label, operation.pool_guid)}"
    )
    return Alert("failure", f"{host}: {operation.kind} of pool {label} failed", body)


def of_recovery(host: str, operation: OperationRecord) -> Alert:
    """Unfinished work of an earlier run of the agent, and its outcome."""
    label = _shown(operation.pool_label, operation.pool_guid)
    body = (
        f"The agent ended during the operation {operation.kind} of pool {_titled(operation)}. "
        f"Restarted, it settled that at {_moment(operation.finished_at)}: the operation "
        f"{operation.outcome}.\n{_ending(operation)}"
        f"See: backy doctor; backy pools outputs "
        f"{_name(operation.pool_label, operation.pool_guid)}"
    )
    title = f"{host}: the agent was interrupted during {operation.kind} of pool {label}"
    return Alert("warning", title, body)


def of_test(host: str, at: datetime) -> Alert:
    """A message on request."""
    body = f"This is a test, sent at {_moment(at)}. Nothing is wrong."
    return Alert("info", f"{host}: test message of Backy", body)


def _summary(names: Iterable[str]) -> str:
    names = set(names)
    if "absent" in names:
        return "is not there"
    if "failed" in names:
        return "has failed"
    if "degraded" in names:
        return "is degraded"
    return "has lost a drive" if "drive_lost" in names else "has a diverged member"


def _of_drive(change: PoolChange, condition: Condition, drive: PoolDrive) -> list[str]:
    assert change.pool is not None
    name = _name(change.pool.label, change.pool.guid)
    serial = shlex.quote(drive.serial)
    if condition.name == "diverged":
        return [
            f"Drive {_described(drive)} was written to apart from the pool.",
            f"Wipe it and fill it anew: backy pools add-drive {name} {serial} --wipe",
        ]
    member = members_by_serial(change.after).get(drive.serial) if change.after else None
    if member is None:
        lost = "is not connected"
    else:
        lost = "has failed" if member.state == "failed" else f"is {member.state}"
    return [
        f"Drive {_described(drive)} {lost}.",
        f"Take it back once it works: backy pools add-drive {name} {serial}",
        f"Or replace it: backy pools replace {name} {serial} NEW-SERIAL",
    ]


def _introduced(change: PoolChange) -> str:
    pool = change.pool
    assert pool is not None
    level = f", {change.backend} {change.after.level}" if change.after else ""
    return f"Pool {_shown(pool.label, pool.guid)} ({pool.guid[:8]}{level})"


def _titled(operation: OperationRecord) -> str:
    guid = operation.pool_guid
    return f"{_shown(operation.pool_label, guid)} ({guid[:8]})"


def _ending(operation: OperationRecord) -> str:
    lines = []
    if operation.outcome != "succeeded" and operation.step:
        lines.append(f"Step {operation.step} of {operation.steps}: {operation.step_title}")
    if operation.error_message:
        lines.append(f"{operation.error_message} ({operation.error_code})")
    return "".join(f"{line}\n" for line in lines)


def _described(drive: PoolDrive) -> str:
    size = _size(drive.size) if drive.size else None
    facts = ", ".join(filter(None, (drive.model, size, drive.label)))
    return f"{drive.serial} ({facts})" if facts else drive.serial


def _listed(drives: Iterable[PoolDrive]) -> str:
    return ", ".join(map(_described, drives)) or "drives that the agent does not know"


def _name(label: str, guid: str) -> str:
    """The pool as a word of a command that can be pasted into a shell."""
    return shlex.quote(label) if _PLAIN_LABEL.fullmatch(label) else guid[:8]


def _shown(label: str, guid: str) -> str:
    """The pool for people. A line break in a label must not become one in a mail's header."""
    return " ".join("".join(c if c.isprintable() else " " for c in label).split()) or guid[:8]


def _moment(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _size(size: int) -> str:
    """Decimal units, as on a drive's box."""
    value, units = float(size), iter(_UNITS)
    unit = next(units)
    while value >= 1000 and unit != _UNITS[-1]:
        value, unit = value / 1000, next(units)
    return f"{value:.1f} {unit}"
