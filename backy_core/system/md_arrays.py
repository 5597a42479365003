"""Tell which md arrays differ: the kernel announces that one has changed, and not which."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

_MDSTAT = Path("/proc/mdstat")
_ARRAY = re.compile(r"^(md\S*) : ")
_BUSY_LINE = re.compile(r"^\s+(\[[=>.]*\]|bitmap:).*$", re.MULTILINE)
_IN_USE = frozenset(("active", "active-idle", "clean", "write-pending"))
"""Words of ``array_state`` that come and go with each write."""

Read = Callable[[Path], str | None]


def read_states(read: Read) -> Mapping[str, str]:
    """Each array's lines of ``/proc/mdstat`` and its ``array_state``, by kernel name, without what
    progress and writes change. ``read`` gives a file's text, None for an absent one.

    Linux 6.1 shows an array as broken in ``array_state`` only.
    """
    sections: dict[str, list[str]] = {}
    name = None
    for line in _BUSY_LINE.sub("", read(_MDSTAT) or "").splitlines():
        if match := _ARRAY.match(line):
            name = match[1]
        elif not line.startswith(" "):
            name = None
        if name is not None:
            sections.setdefault(name, []).append(line.rstrip())
    return {name: "\n".join((*lines, _state(read, name))) for name, lines in sections.items()}


def _state(read: Read, name: str) -> str:
    word = (read(Path(f"/sys/block/{name}/md/array_state")) or "").strip()
    return "" if word in _IN_USE else word


def differing(then: Mapping[str, str], now: Mapping[str, str]) -> frozenset[str]:
    """Kernel names of the arrays whose states differ, or that are in one of both only."""
    return frozenset(name for name in {*then, *now} if then.get(name) != now.get(name))
