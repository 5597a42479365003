"""What clients have been told, and how that differs from what is so now."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from backy_core.api.live.ring import Event
from backy_core.api.pool_replies import item_json
from backy_core.api.replies import drive_json, operation_reply
from backy_core.api.wire.events import OutputsEvent
from backy_core.operations.records import Operation
from backy_core.pools.drive_service import ListedDrive, ListedDrives
from backy_core.pools.views import PoolView, PoolViews


class _Item(NamedTuple):
    """An item as JSON, and the source that it was made of."""

    source: object
    data: bytes


class _Kind:
    """All items of one kind, by key. ``key_field`` names the key in the event of an item's end."""

    def __init__(self, event: str, key_field: str) -> None:
        self._event = event
        self._key_field = key_field
        self._items: dict[str, _Item] = {}

    @property
    def joined(self) -> bytes:
        return b",".join(item.data for item in self._items.values())

    def follow(
        self, sources: Iterable[tuple[str, object, Callable[[], bytes]]]
    ) -> Iterator[tuple[str, Event]]:
        """Take over all items there are, as keys, sources and what makes them JSON; yields the
        events with their keys. The source of an item that did not change is an equal one."""
        before, self._items = self._items, {}
        for key, source, make in sources:
            item = before.pop(key, None)
            if item is not None and (item.source is source or item.source == source):
                self._items[key] = item
                continue
            data = make()
            self._items[key] = _Item(source, data)
            if item is None or item.data != data:
                yield key, Event(self._event, data)
        for key in before:
            ended = json.dumps({self._key_field: key}).encode()
            yield key, Event(f"{self._event}-removed", ended)


class Told:
    """The state that clients have after all events so far."""

    def __init__(self, agent_instance: str) -> None:
        self._instance = agent_instance
        self._operations = _Kind("operation", "id")
        self._pools = _Kind("pool", "poolGroupGuid")
        self._drives = _Kind("drive", "name")
        self._lines: dict[str, int] | None = None
        """The number of the next line of each operation's outputs; None: nobody has followed."""
        self._last: tuple[object, object] = (None, None)

    def follow(
        self, operations: Iterable[Operation], pools: PoolViews, drives: ListedDrives
    ) -> list[Event]:
        """The events that lead from what was told to what is so now; none at the first time, as
        nobody can have missed them."""
        first = self._lines is None
        events = self._of_operations(tuple(operations))
        last_pools, last_drives = self._last
        self._last = pools, drives
        if pools is not last_pools:
            events += [event for _, event in self._pools.follow(map(_of_pool, pools))]
        if drives is not last_drives:
            events += [event for _, event in self._drives.follow(map(_of_drive, drives))]
        return [] if first else events

    def snapshot(self, reason: str) -> Event:
        """All of it; ``reason`` as in :class:`~backy_core.api.wire.events.SnapshotEvent`."""
        head = json.dumps({"reason": reason, "agentInstance": self._instance}).encode()
        data = b'%b, "operations": [%b], "pools": [%b], "drives": {"blockdevices": [%b]}}' % (
            head[:-1],
            self._operations.joined,
            self._pools.joined,
            self._drives.joined,
        )
        return Event("snapshot", data)

    def _of_operations(self, operations: tuple[Operation, ...]) -> list[Event]:
        """An operation's last lines come before its end."""
        changed = dict(self._operations.follow(map(self._of_operation, operations)))
        events: list[Event] = []
        told, self._lines = self._lines, {}
        for op in operations:
            event = changed.pop(op.id, None)
            if event is not None and op.running:
                events.append(event)
            if told is not None:
                events += _new_lines(op, told.get(op.id, 0))
            self._lines[op.id] = op.outputs.next_offset
            if event is not None and not op.running:
                events.append(event)
        return events + list(changed.values())

    def _of_operation(self, op: Operation) -> tuple[str, object, Callable[[], bytes]]:
        def make() -> bytes:
            return operation_reply(op, self._instance).model_dump_json().encode()

        return op.id, (op.state, op.progress), make


def _new_lines(op: Operation, offset: int) -> Iterator[Event]:
    following = op.outputs.next_offset
    if offset < following:
        lines = op.outputs.since(offset)
        data = OutputsEvent(
            operation_id=op.id,
            pool_group_guid=op.guid,
            offset=following - len(lines),
            lines=lines,
            next_offset=following,
        )
        yield Event("outputs", data.model_dump_json().encode())


def _of_pool(pool: PoolView) -> tuple[str, object, Callable[[], bytes]]:
    return pool.guid, pool, lambda: item_json(pool)


def _of_drive(listed: ListedDrive) -> tuple[str, object, Callable[[], bytes]]:
    return listed.drive.device.name, listed, lambda: drive_json(listed)
