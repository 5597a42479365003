"""Read a device's signatures with a low-level probe, never from udev's cache.

Finds all signatures that libblkid knows, as ``wipefs --no-act`` lists them; ``blkid -p`` would
stop at an ambivalent pair. Partition tables count (``gpt``, ``dos``, ``PMBR``). Data without a
signature stays invisible: raw data written straight to a disk looks blank to every tool.

A node that cannot be probed is a failure of its own, never "blank".
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from backy_core.sdk.errors import SystemFailure
from backy_core.sdk.models import Signature
from backy_core.system.absence import LookFailed
from backy_core.system.blkid import read_signatures
from backy_core.system.blocks import kernel_name, partitions
from backy_core.system.threads import in_thread

_PROBE_DEADLINE_S = 20.0


class ProbeFailed(SystemFailure):
    """A device could not be read, so its signatures are unknown."""


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
        raise _failure(name, reason)
    return dict(probed.found)


async def probe_for(node: str, type: str) -> tuple[Signature, ...]:
    """The superblocks of this one type on ``node``: a quicker look. Raises :class:`ProbeFailed`."""
    name = kernel_name(node)
    answer = await _look(node, name, type)
    if isinstance(answer, str):
        raise _failure(name, answer)
    return answer


async def probe_drive(name: str) -> tuple[Signature, ...]:
    """Signatures of a drive and its partitions. Raises :class:`ProbeFailed`."""
    probed = await probe([f"/dev/{node}" for node in (name, *partitions(name))])
    return tuple(signature for signatures in probed.values() for signature in signatures)


async def probe_each(nodes: Sequence[str]) -> Probed:
    """As :func:`probe`, with a reason for each node that cannot be read.

    One that does not answer holds up none of the others.
    """
    names = {kernel_name(node): node for node in nodes}
    answers = await asyncio.gather(*(_look(node, name) for name, node in names.items()))
    by_name: dict[str, tuple[Signature, ...]] = {}
    failed: dict[str, str] = {}
    for name, answer in zip(names, answers, strict=True):
        if isinstance(answer, str):
            failed[name] = answer
        else:
            by_name[name] = answer
    return Probed(by_name, failed)


def _failure(name: str, reason: str) -> ProbeFailed:
    return ProbeFailed(f"Device {name} cannot be probed for signatures", details=reason)


async def _look(node: str, name: str, only: str | None = None) -> tuple[Signature, ...] | str:
    look = partial(read_signatures, node, name, only)
    try:
        return await in_thread(look, f"probe {name}", _PROBE_DEADLINE_S)
    except TimeoutError:
        return f"{node} does not answer within {_PROBE_DEADLINE_S:g} s"
    except LookFailed:
        raise
    except SystemFailure as error:
        return error.message
