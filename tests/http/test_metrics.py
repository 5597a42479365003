"""Metrics, read by Prometheus's own parser."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from quart import Quart

import backy_core
from backy_core.api.app import create_app
from backy_core.operations.kinds import OperationKind
from backy_core.operations.records import Operation
from backy_core.pools.views import PoolState
from backy_core.sdk.errors import SystemFailure
from tests.http.conftest import Client
from tests.http.fake_agent import FakeAgent
from tests.http.fake_pools import GUID, OTHER, standing_pool

PAGE = Path(backy_core.__file__).parents[1] / "docs/development/backy-agent.md"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scraped(client: Client) -> Samples:
    answer = await client.get("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


async def test_pools_members_and_drives(client: Client, agent: FakeAgent) -> None:
    agent.pools.add(replace(standing_pool(), label='a "b"\\c', sync_percent=40, sync_minutes=2))
    agent.pools.add(standing_pool(PoolState.UNMOUNTED, OTHER))
    samples = await scraped(client)
    assert value(samples, "backy_pools", state="ready", status="active") == 1
    assert value(samples, "backy_pools", state="unmounted", status="none") == 1
    assert value(samples, "backy_members", state="active") == 4
    assert value(samples, "backy_members", state="diverged") == 0
    assert value(samples, "backy_drives", available="no") == 1
    assert value(samples, "backy_pool_size_bytes", pool=GUID) == 1000204851200
    assert value(samples, "backy_pool_resync_percent", pool=GUID) == 40
    assert value(samples, "backy_pool_resync_remaining_seconds", pool=GUID) == 120
    assert value(samples, "backy_pool_resync_percent_per_second", pool=GUID) == 0.5
    assert value(samples, "backy_backend_working", backend="mdadm") == 0
    labels = {dict(label).get("label") for name, label in samples if name == "backy_pool_info"}
    assert labels == {'a "b"\\c', "backup-1"}
    assert ("backy_pool_size_bytes", frozenset({("pool", OTHER)})) not in samples


async def test_operations_are_counted_for_good(client: Client, agent: FakeAgent) -> None:
    async def fails(op: Operation) -> None:
        op.accept()
        raise SystemFailure("no")

    agent.pools.add(standing_pool())
    await client.delete(f"/api/v1/pools/{GUID}")
    failing = agent.operations.start(OperationKind.MOUNT, OTHER, "", (), fails)
    await failing.ended()
    for operation in agent.operations.all():
        agent.operations.forget(operation.id)
    samples = await scraped(client)
    duration = "backy_operation_duration_seconds"
    for kind, outcome in (("delete", "succeeded"), ("mount", "failed")):
        assert value(samples, f"{duration}_count", kind=kind, outcome=outcome) == 1
        assert value(samples, f"{duration}_bucket", kind=kind, outcome=outcome, le="1.0") == 1
    assert value(samples, "backy_operations_running", kind="mount") == 0


async def test_every_metric_is_documented_and_none_else(client: Client, agent: FakeAgent) -> None:
    agent.pools.add(replace(standing_pool(), sync_percent=40, sync_minutes=2))
    await client.patch(f"/api/v1/pools/{GUID}", {"label": "other"})
    text = (await client.get("/metrics")).text
    served = set(re.findall(r"^# TYPE (backy_\w+)", text, re.MULTILINE))
    documented = set(re.findall(r"^\| `(backy_\w+)`", PAGE.read_text(), re.MULTILINE))
    assert served == documented
    assert "process_resident_memory_bytes" in text


async def test_a_scrape_needs_a_key(stranger: Client) -> None:
    assert (await stranger.get("/metrics")).status == 401


async def test_what_ended_before_the_application_counts(app: Quart, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    await Client(app).delete(f"/api/v1/pools/{GUID}")
    samples = await scraped(Client(create_app(agent)))
    count = "backy_operation_duration_seconds_count"
    assert value(samples, count, kind="delete", outcome="succeeded") == 1
