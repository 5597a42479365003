"""From what the agent tells to alerts: each condition once, when it has lasted."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from backy_core.sdk.events import OperationRecord, PoolChange
from backy_notify import alerts
from backy_notify.alerts import Alert
from backy_notify.conditions import (
    EVENT_OF,
    Condition,
    counts,
    is_syncing,
    is_whole,
    standing,
)
from backy_notify.settings import EventName
from backy_notify.store import Fact, Store

SAME_FAILURE = timedelta(hours=1)
"""An operation that fails again for the same reason within this time is not told again."""
_SYNC: Fact = ("sync", "")
"""A resync runs whose end is news."""
_FIRST_BUILD: Fact = ("first-build", "")
"""The pool was just made: the end of its first resync is none."""


class Watch:
    """For one thread at a time. Keeps the latest change of each pool."""

    def __init__(
        self, store: Store, host: str, events: Iterable[EventName], targets: Iterable[str]
    ) -> None:
        self._store = store
        self._host = host
        self._events = frozenset(events)
        self._targets = tuple(targets)
        self._latest: dict[str, PoolChange] = {}
        self._since: dict[str, dict[Condition, datetime]] = {}

    def note(self, change: PoolChange) -> str | None:
        """Take over a change. Returns the pool's GUID if it should be judged soon."""
        if change.pool is None:
            return None
        guid = change.pool.guid
        self._latest[guid] = change
        return guid if self._date(guid) else None

    def has_news(self, guid: str) -> bool:
        """Whether a condition stands that was not told yet."""
        facts = self._store.facts(guid)
        return any(condition not in facts for condition in self._since.get(guid, {}))

    def judge(self, guid: str) -> bool:
        """Tell what is new of a pool, and note what is over. True: there is an alert."""
        change = self._latest.get(guid)
        if change is None or not counts(change):
            return False
        facts = self._store.facts(guid)
        raised = {Condition(*fact) for fact in facts if fact[0] in EVENT_OF}  # type: ignore[arg-type]
        since = self._since.get(guid, {})
        new = {condition: since[condition] for condition in since if condition not in raised}
        over: set[Fact] = {condition for condition in raised if condition not in since}
        alert = self._of(change, new)
        add: dict[Fact, datetime] = {(c.name, c.subject): begun for c, begun in new.items()}
        if is_syncing(change) and _FIRST_BUILD not in facts and _SYNC not in facts:
            add[_SYNC] = change.seen_at
        elif is_whole(change) and not since:
            alert = self._of_whole(change, facts)
            over |= {_SYNC, _FIRST_BUILD} & facts.keys()
        elif not is_syncing(change):
            over |= {_FIRST_BUILD} & facts.keys()
        if add or over or alert:
            self._store.update(
                guid,
                add=add,
                drop=over,
                alert=alert,
                made_at=change.seen_at,
                targets=self._targets,
            )
        return alert is not None

    def operation(self, operation: OperationRecord) -> str | None:
        """Take over the end of an operation. Returns as :meth:`note` does."""
        guid = operation.pool_guid
        if operation.recovery:
            self._tell_once("recovery", operation, alerts.of_recovery(self._host, operation))
        elif operation.outcome == "failed":
            self._tell_once("operation_failed", operation, alerts.of_failure(self._host, operation))
        if operation.outcome == "succeeded":
            self._succeeded(operation)
        return self._settled(guid)

    def _date(self, guid: str) -> bool:
        """Note since when each condition stands. False: there is nothing to judge."""
        change = self._latest[guid]
        if not counts(change):
            return False
        earlier = self._since.get(guid, {})
        self._since[guid] = {
            condition: earlier.get(condition, change.seen_at) for condition in standing(change)
        }
        return True

    def _settled(self, guid: str) -> str | None:
        """The operation is over: what was seen last counts."""
        change = self._latest.get(guid)
        if change is None or change.pool is None:
            return None
        settled = change.pool.model_copy(update={"busy": False})
        return self.note(change.model_copy(update={"pool": settled}))

    def _of(self, change: PoolChange, new: dict[Condition, datetime]) -> Alert | None:
        chosen = {c: since for c, since in new.items() if EVENT_OF[c.name] in self._events}
        return alerts.of_conditions(self._host, change, chosen) if chosen else None

    def _of_whole(self, change: PoolChange, facts: dict[Fact, datetime]) -> Alert | None:
        was_ill = _SYNC in facts or any(name in EVENT_OF for name, _ in facts)
        if "resync_done" not in self._events or not was_ill:
            return None
        return alerts.of_whole_pool(self._host, change)

    def _tell_once(self, event: EventName, operation: OperationRecord, alert: Alert) -> None:
        """Tell of an operation, but for a failure that was told a short while ago."""
        fact: Fact = ("operation", f"{operation.kind} {operation.error_code or ''}")
        told_at = self._store.facts(operation.pool_guid).get(fact)
        repeated = (
            operation.outcome != "succeeded"
            and told_at is not None
            and timedelta(0) <= operation.finished_at - told_at < SAME_FAILURE
        )
        if event in self._events and not repeated:
            self._store.update(
                operation.pool_guid,
                add={fact: operation.finished_at},
                alert=alert,
                made_at=operation.finished_at,
                targets=self._targets,
            )

    def _succeeded(self, operation: OperationRecord) -> None:
        guid = operation.pool_guid
        if operation.kind == "delete":
            self._latest.pop(guid, None)
            self._since.pop(guid, None)
            self._store.forget(guid)
            return
        over = [fact for fact in self._store.facts(guid) if _is_failure_of(operation.kind, fact)]
        add = {_FIRST_BUILD: operation.finished_at} if operation.kind == "create" else {}
        if over or add:
            self._store.update(guid, add=add, drop=over)


def _is_failure_of(kind: str, fact: Fact) -> bool:
    name, subject = fact
    return name == "operation" and subject.split(" ")[0] == kind
