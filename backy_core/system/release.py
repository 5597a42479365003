"""Versions as tools and kernels write them, and the kernel that runs."""

from __future__ import annotations

import os
import re

_NUMBERS = re.compile(r"\d{1,9}(?:\.\d{1,9}){0,7}")


def running() -> str:
    """The running Linux as people name it: ``6.1.176`` of ``6.1.176-amd64``."""
    release = os.uname().release
    match = _NUMBERS.match(release)
    return match[0] if match else release


def parts(version: str) -> tuple[int, ...]:
    """``6.12`` as ``(6, 12)``, to be compared; ``()`` for what begins with no number."""
    match = _NUMBERS.match(version)
    return tuple(map(int, match[0].split("."))) if match else ()


def named_in(text: str) -> str | None:
    """The first version with a dot that a tool prints: ``4.2`` of ``mdadm - v4.2 - 2021-12-30``."""
    match = re.search(r"\d{1,9}(?:\.\d{1,9}){1,7}", text)
    return match[0] if match else None


def reaches(version: str, least: str) -> bool:
    """Whether ``version`` is ``least`` or newer; ``6.1.176`` is newer than ``6.1``."""
    return parts(version) >= parts(least)
