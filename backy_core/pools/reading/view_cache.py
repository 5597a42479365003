"""Views that are made anew only when a pool, or what it is seen on, changes.

Clients poll, and pools rarely change.
"""

from __future__ import annotations

from typing import NamedTuple

from backy_core.machine.snapshot import Snapshot
from backy_core.pools.views import PoolView
from backy_core.store.metadata import PoolEntry


class _Cached(NamedTuple):
    entry: PoolEntry
    view: PoolView
    minds_others: bool
    """Other pools' reports matter to it as well."""


class ViewCache:
    """Views of pools whose state depends on entry and snapshot alone, by GUID.

    A view goes with its entry, and with the snapshot unless only other pools' reports changed.
    """

    def __init__(self) -> None:
        self._snapshot = Snapshot()
        self._views: dict[str, _Cached] = {}

    def follow(self, snapshot: Snapshot) -> None:
        """Forget the views that may be others in ``snapshot``."""
        if snapshot is self._snapshot:
            return
        changed = snapshot.changed_identities(self._snapshot)
        self._snapshot = snapshot
        if changed is None:
            self._views.clear()
        elif changed:
            self._views = {
                guid: cached
                for guid, cached in self._views.items()
                if not cached.minds_others
                and (cached.entry.backend, cached.entry.native_id) not in changed
            }

    def get(self, entry: PoolEntry) -> PoolView | None:
        cached = self._views.get(entry.guid)
        return cached.view if cached is not None and cached.entry is entry else None

    def keep(self, entry: PoolEntry, view: PoolView, *, minds_others: bool) -> None:
        """Remember the view of ``entry`` in the snapshot that was followed last.

        ``minds_others``: it goes with any change of a report.
        """
        self._views[entry.guid] = _Cached(entry, view, minds_others)
