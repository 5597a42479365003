"""A pool's level by the name that a report has for it."""

from __future__ import annotations

from collections.abc import Iterable

from backy_core.sdk.models import Level


def named(levels: Iterable[Level], name: str) -> Level:
    """The level called ``name``.

    One that is not among ``levels`` counts as a level without redundancy: it needs every member.
    """
    return next((level for level in levels if level.name == name), Level(name=name, min_drives=1))
