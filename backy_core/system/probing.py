"""What is written on a device, by a low-level look, never by udev's cache.

``wipefs --no-act`` lists every signature libblkid knows, all of them, where ``blkid -p`` stops
at an ambivalent pair. Partition tables count (``gpt``, ``dos``, ``PMBR``). It cannot see what
bears no signature: raw data written straight to a disk looks blank to every tool.

A node that cannot be probed is a failure of its own, never "blank".
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backy_core.sdk.errors import SystemFailure
from backy_core.sdk.models import Signature
from backy_core.system.blocks import kernel_name, partitions
from backy_core.system.exec import Outcome, run

_PROBE_DEADLINE_S = 20.0
_COLUMNS = "DEVICE,OFFSET,TYPE,UUID,LABEL"


class ProbeFailed(SystemFailure):
    """A device could not be read; what it bears is unknown."""


@dataclass(frozen=True)
class Probed:
    """By kernel name: what was found (possibly nothing), or why it could not be read."""

    found: Mapping[str, tuple[Signature, ...]] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)


async def probe(nodes: Sequence[str]) -> dict[str, tuple[Signature, ...]]:
    """The signatures of each node by its kernel name; an empty tuple: it is blank.

    Raises :class:`ProbeFailed` if any of them cannot be read.
    """
    probed = await probe_each(nodes)
    for name, reason in probed.failed.items():
        raise ProbeFailed(f"Device {name} cannot be probed for signatures", details=reason)
    return dict(probed.found)


async def probe_drive(name: str) -> tuple[Signature, ...]:
    """What a drive and its partitions bear. Raises :class:`ProbeFailed`."""
    found = await probe([f"/dev/{each}" for each in (name, *partitions(name))])
    return tuple(signature for signatures in found.values() for signature in signatures)


async def probe_each(nodes: Sequence[str]) -> Probed:
    """As :func:`probe`, with a reason for each node that cannot be read."""
    if not nodes:
        return Probed()
    outcome = await _list_signatures(nodes)
    if outcome.code == 0 or len(nodes) == 1:
        return _judge(nodes, outcome)
    # wipefs stops at the first node it cannot open, so that one must not hide the others.
    outcomes = await asyncio.gather(*(_list_signatures([node]) for node in nodes))
    each = [_judge([node], outcome) for node, outcome in zip(nodes, outcomes, strict=True)]
    return Probed(
        {name: found for one in each for name, found in one.found.items()},
        {name: reason for one in each for name, reason in one.failed.items()},
    )


async def _list_signatures(nodes: Sequence[str]) -> Outcome:
    argv = ["wipefs", "--no-act", "--json", "--output", _COLUMNS, "--", *nodes]
    return await run(argv, check=False, timeout_s=_PROBE_DEADLINE_S, cancel="term")


def _judge(nodes: Sequence[str], outcome: Outcome) -> Probed:
    names = [kernel_name(node) for node in nodes]
    if outcome.code != 0:
        reason = outcome.last_words or outcome.sentence
        return Probed(failed=dict.fromkeys(names, reason))
    try:
        return Probed(
            parse_wipefs(outcome.stdout, dict(zip(map(_shown, nodes), names, strict=True)))
        )
    except ProbeFailed as error:
        return Probed(failed=dict.fromkeys(names, error.message))


def _shown(node: str) -> str:
    """wipefs names a device by the last part of the path it was given."""
    return Path(node).name


def parse_wipefs(text: str, names: Mapping[str, str]) -> dict[str, tuple[Signature, ...]]:
    """``wipefs --json`` output, where ``names`` maps the names it shows to kernel names.

    When every node is blank it prints an empty list, not nothing. Raises :class:`ProbeFailed`
    for whatever is not its format.
    """
    try:
        signatures = [_signature(row, names) for row in json.loads(text)["signatures"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ProbeFailed("wipefs gave an answer that cannot be understood") from error
    found: dict[str, tuple[Signature, ...]] = dict.fromkeys(names.values(), ())
    for signature in signatures:
        found[signature.device] = (*found[signature.device], signature)
    return found


def _signature(row: dict[str, Any], names: Mapping[str, str]) -> Signature:
    return Signature(
        device=names[row["device"]],
        type=row["type"],
        uuid=row.get("uuid") or None,
        label=row.get("label") or None,
        offset=int(row["offset"], 16),
    )
