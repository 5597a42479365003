"""Views with how full their filesystems are: the same objects while nothing changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from operator import is_
from typing import NamedTuple

from backy_core.pools.reading.usage import UsageReader
from backy_core.pools.views import PoolView, PoolViews
from backy_core.system.clock import Clock
from backy_core.system.usage import Usage


class _Pair(NamedTuple):
    """A view without usage and the one that was made of it."""

    plain: PoolView
    measured: PoolView


class _Pairs(NamedTuple):
    plain: PoolViews
    measured: PoolViews
    until: float


class Measuring:
    """Adds usage to views. What was given last is given again while it is still true."""

    def __init__(self, reader: UsageReader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._by_guid: dict[str, _Pair] = {}
        self._last = _Pairs(PoolViews(), PoolViews(), 0)

    async def one(self, view: PoolView) -> PoolView:
        pair = self._measured(view, await self._reader.read(_path(view)))
        self._by_guid[view.guid] = pair
        return pair.measured

    async def all(self, plain: PoolViews, within_s: float | None = None) -> PoolViews:
        """``plain`` are all pools there are; ``within_s`` as in :meth:`UsageReader.read`."""
        if plain is self._last.plain and self._clock.monotonic() < self._last.until:
            return self._last.measured
        paths = plain.once(_paths)
        usages = await self._reader.read(paths, within_s)
        self._by_guid = {view.guid: self._measured(view, usages) for view in plain}
        views = PoolViews(pair.measured for pair in self._by_guid.values())
        before = self._last.measured
        if len(views) == len(before) and all(map(is_, views, before)):
            views = before
        self._last = _Pairs(plain, views, self._reader.fresh_until(paths))
        return views

    def _measured(self, plain: PoolView, usages: Mapping[str, Usage]) -> _Pair:
        usage = usages.get(plain.mount_path or "") if plain.is_usable else None
        before = self._by_guid.get(plain.guid)
        if before is not None and before.measured.usage is usage:
            if before.plain is plain:
                return before
            if before.plain == plain:
                return _Pair(plain, before.measured)
        return _Pair(plain, plain if usage is None else replace(plain, usage=usage))


def _path(view: PoolView) -> tuple[str, ...]:
    return (view.mount_path,) if view.is_usable and view.mount_path else ()


def _paths(views: PoolViews) -> tuple[str, ...]:
    return tuple(path for view in views for path in _path(view))
