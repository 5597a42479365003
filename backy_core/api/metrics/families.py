"""The metrics, each with its labels. Loaded at the first scrape: most agents are never scraped.

A label has few values, but for ``pool``: as many as there are pools.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar, get_args

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from backy_core.api.metrics.tally import Tally
from backy_core.operations.kinds import OperationKind
from backy_core.pools.drive_service import ListedDrives
from backy_core.pools.views import PoolView, PoolViews
from backy_core.sdk.models import MemberState

KeyT = TypeVar("KeyT", bound=tuple[str, ...])

_POOL = "pool"


class Facts(NamedTuple):
    """What a scrape shows."""

    version: str
    pools: PoolViews
    drives: ListedDrives
    running: Mapping[OperationKind, int]
    tally: Tally
    backends: Iterable[str]
    backend_problems: Mapping[str, str]
    changed_s: float
    """Seconds since the machine last showed a change."""
    event_clients: int


def text_of(facts: Facts) -> bytes:
    """``facts`` in the text format of Prometheus."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(facts))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Families(Collector):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        facts = self._facts
        yield _gauge("backy_info", "1, with the version.", {(facts.version,): 1}, "version")
        yield from _of_pools(facts.pools)
        yield from _of_each_pool(facts.pools)
        available = Counter("yes" if drive.available else "no" for drive in facts.drives)
        yield _gauge(
            "backy_drives",
            "Drives, by whether a pool can be made of them.",
            {(word,): available[word] for word in ("yes", "no")},
            "available",
        )
        yield from _of_operations(facts)
        yield _gauge(
            "backy_backend_working",
            "0 while the backend cannot inspect its pools.",
            {(name,): name not in facts.backend_problems for name in facts.backends},
            "backend",
        )
        yield _gauge(
            "backy_last_event_age_seconds",
            "Time since the machine last showed a change.",
            {(): facts.changed_s},
        )
        yield _gauge("backy_event_clients", "Clients of live events.", {(): facts.event_clients})


def _of_pools(pools: PoolViews) -> Iterator[Metric]:
    counts = Counter((str(pool.state), pool.pool_status or "none") for pool in pools)
    yield _gauge("backy_pools", "Pools, by state and health.", counts, "state", "status")
    members = Counter(drive.status for pool in pools for drive in pool.drives)
    states = {(state,): members[state] for state in get_args(MemberState)}
    yield _gauge("backy_members", "Member drives of pools, by state.", states, "state")


def _of_each_pool(pools: PoolViews) -> Iterator[Metric]:
    info = GaugeMetricFamily(
        "backy_pool_info",
        "1, with what a pool is and how it stands.",
        labels=(_POOL, "label", "backend", "level", "filesystem", "state", "status"),
    )
    for pool in pools:
        described = (pool.backend, pool.level, pool.filesystem, str(pool.state), pool.pool_status)
        info.add_metric((pool.guid, pool.label, *(word or "none" for word in described)), 1)
    yield info
    usages = {pool.guid: pool.usage for pool in pools if pool.usage is not None}
    for name, of in (("size", "Size"), ("used", "Used part"), ("available", "Free part")):
        sizes = {(guid,): getattr(usage, name) for guid, usage in usages.items()}
        yield _gauge(f"backy_pool_{name}_bytes", f"{of} of a mounted filesystem.", sizes, _POOL)
    yield from _of_resyncs(pool for pool in pools if pool.sync_percent is not None)


def _of_resyncs(pools: Iterable[PoolView]) -> Iterator[Metric]:
    percents, seconds, speeds = {}, {}, {}
    for pool in pools:
        assert pool.sync_percent is not None
        percents[pool.guid,] = pool.sync_percent
        if pool.sync_minutes is not None:
            seconds[pool.guid,] = remaining_s = pool.sync_minutes * 60
            if remaining_s > 0:
                speeds[pool.guid,] = (100 - pool.sync_percent) / remaining_s
    helps = {
        "percent": ("How far a resync, recovery, check or reshape is.", percents),
        "remaining_seconds": ("How long it will take, as estimated now.", seconds),
        "percent_per_second": ("How fast it is, by that estimate.", speeds),
    }
    for name, (text, values) in helps.items():
        yield _gauge(f"backy_pool_resync_{name}", text, values, _POOL)


def _of_operations(facts: Facts) -> Iterator[Metric]:
    yield _gauge(
        "backy_operations_running",
        "Operations that run, by kind.",
        {(str(kind),): facts.running.get(kind, 0) for kind in OperationKind},
        "kind",
    )
    ended = HistogramMetricFamily(
        "backy_operation_duration_seconds",
        "Operations that ended since the agent started, by kind and outcome.",
        labels=("kind", "outcome"),
    )
    for key, durations in sorted(facts.tally.by_outcome.items()):
        ended.add_metric(key, durations.buckets, durations.total_s)
    yield ended


def _gauge(name: str, text: str, values: Mapping[KeyT, float], *labels: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, float(value))
    return family
