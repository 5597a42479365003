"""Superblocks as ``mdadm --examine`` prints them.

One that a stranger wrote may end mdadm, or have it print for minutes (seen with 4.2), and name
other nodes in a name with line breaks. So what is not told of many nodes is asked for one by one,
and none is waited for without an end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from backy_core.sdk.models import CommandOutcome, Probe, Unreadable
from backy_mdadm import parse
from backy_mdadm.naming import NO_CONFIG
from backy_mdadm.parse import Superblock

EXAMINE = ("mdadm", "--examine")
_TOGETHER_S, _ALONE_S = 8.0, 15.0
"""Both must fit into one look; a drive that has to spin up takes ten seconds."""
_SILENT = "mdadm shows no valid superblock on it"


async def superblocks(
    probe: Probe, uuids: Mapping[str, str]
) -> tuple[Mapping[str, Superblock], list[Unreadable]]:
    """Superblocks by device, and devices of which none can be read. ``uuids``: the array that each
    device belongs to by its signature; a superblock of another one is not what was asked for."""
    nodes = {f"/dev/{device.replace('!', '/')}": device for device in uuids}
    many = len(nodes) > 1
    outcome = await _ask(probe, tuple(nodes), _TOGETHER_S if many else _ALONE_S)
    outcomes: dict[str, CommandOutcome | None] = dict.fromkeys(nodes, outcome)
    blocks = _read(outcome, nodes, uuids)
    if many:
        lost = [node for node, device in nodes.items() if device not in blocks]
        answers = await asyncio.gather(*(_ask(probe, (node,), _ALONE_S) for node in lost))
        outcomes.update(zip(lost, answers, strict=True))
        for node in lost:
            blocks |= _read(outcomes[node], {node: nodes[node]}, uuids)
    return blocks, [
        Unreadable(device=device, reason=_reason(outcomes[node], node))
        for node, device in nodes.items()
        if device not in blocks
    ]


async def _ask(probe: Probe, nodes: Sequence[str], within_s: float) -> CommandOutcome | None:
    """None if it does not end in time."""
    try:
        async with asyncio.timeout(within_s):
            # One node without a superblock makes it fail; the others are printed all the same.
            return await probe.run(*EXAMINE, NO_CONFIG, *nodes)
    except TimeoutError:
        return None


def _read(
    outcome: CommandOutcome | None, nodes: Mapping[str, str], uuids: Mapping[str, str]
) -> dict[str, Superblock]:
    parsed = parse.parse_examine(outcome.stdout) if outcome else ()
    blocks_by_node = ((nodes.get(block.node, ""), block) for block in parsed)
    return {device: block for device, block in blocks_by_node if uuids.get(device) == block.uuid}


def _reason(outcome: CommandOutcome | None, node: str) -> str:
    if outcome is None:
        return f"mdadm did not finish reading its superblock within {_ALONE_S:g} s"
    return parse.complaint(outcome.stderr, node) or _SILENT
