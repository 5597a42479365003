"""Whether ZFS can read the newest state of a zpool that was cut off, and which it can go back to.

``zdb`` opens the pool as an import would, in a process of its own that writes nothing. ``zpool
import -F -n`` says the same of a damaged pool, but imports one that is well.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from backy_core.sdk.models import PoolReport, Probe
from backy_zfs import queries
from backy_zfs.labels import Label

_IN_USE = 0
_UNREADABLE = "Input/output error"
_PATIENCE_S = 10.0
"""No look is lost over this; the import then says itself that recovery is possible."""
_STATE = re.compile(r"\btxg = (\d{1,20})\s+guid_sum = \d+\s+timestamp = (\d{1,10})\b")


class State(NamedTuple):
    """A state of the pool: its transaction group, and when that was written."""

    txg: int
    seconds: int

    def __str__(self) -> str:
        written = datetime.fromtimestamp(self.seconds, UTC)
        return f"transaction group {self.txg}, written {written:%Y-%m-%dT%H:%M:%SZ}"


async def with_reason(
    probe: Probe, report: PoolReport | None, labels: Sequence[Label]
) -> PoolReport | None:
    """The report of a stopped pool, with the reason why it needs force. Only a pool that was not
    exported is checked: an export ends with everything written to the members."""
    cut_off = any(label.state == _IN_USE for label in labels)
    if (
        report is None
        or not cut_off
        or any(member.state == "diverged" for member in report.members)
    ):
        return report
    try:
        async with asyncio.timeout(_PATIENCE_S):
            reason = await _reason(probe, report)
    except TimeoutError:
        return report
    return report.model_copy(update={"needs_force": reason})


async def _reason(probe: Probe, report: PoolReport) -> str | None:
    # Anybody may have a zpool of the same name, unless the name is ours.
    name = report.name if report.guid and report.name else report.native_id
    whole = await probe.run(*queries.NEWEST, name)
    if whole.code == 0 or _UNREADABLE not in whole.stderr:
        return None
    earlier = parse_states((await probe.run(*queries.EARLIER, name)).stdout)
    if not earlier:
        return None
    devices = [member.device for member in report.members if member.device]
    written = [
        state
        for device in devices
        for state in parse_states((await probe.run(*queries.STATES, f"/dev/{device}")).stdout)
    ]
    return told(max(written, default=None), earlier[0])


def told(newest: State | None, earlier: State) -> str:
    """The reason, without its full stop."""
    rewindable = newest is not None and newest.txg > earlier.txg
    shown = f" ({newest})" if rewindable else ""
    lost = "what was written after that"
    if newest and rewindable:
        seconds = newest.seconds - earlier.seconds + 1  # times are whole seconds
        lost = f"up to {seconds} second{'s' * (seconds > 1)} of writes"
    return (
        f"ZFS cannot read the newest state of the pool{shown}. It can go back to {earlier}, which "
        f"discards {lost}"
    )


def parse_states(text: str) -> list[State]:
    """Uberblocks as ``zdb -u`` prints them."""
    return [State(int(txg), int(seconds)) for txg, seconds in _STATE.findall(text)]
