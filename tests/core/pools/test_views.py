"""One view of a pool, with the texts made of it, until entry, usage or snapshot change."""

from __future__ import annotations

from backy_core.api.pool_replies import detail_json
from backy_core.pools.views import PoolView
from backy_core.system.usage import Usage
from tests.fakes.agent import GUID, Bench


async def test_an_unchanged_pool_has_one_view(bench: Bench) -> None:
    await bench.start()
    view = await bench.create()
    (listed,) = await bench.agent.pools.list()
    assert await bench.agent.pools.get(GUID) is listed is view


async def test_a_text_is_made_once_for_each_view(bench: Bench) -> None:
    await bench.start()
    view = await bench.create()
    made: list[PoolView] = []

    def write(pool: PoolView) -> str:
        made.append(pool)
        return pool.label

    assert view.text(write) == view.text(write) and made == [view]
    assert detail_json(view) is detail_json(view) != view.text(write)
    await bench.agent.pools.rename(GUID, "other", None)
    assert (await bench.agent.pools.get(GUID)).text(write) == "other"


async def test_a_new_usage_makes_a_new_view(bench: Bench) -> None:
    await bench.start()
    view = await bench.create()
    viewer = bench.agent.pools.viewer
    assert viewer.measured(view, view.usage) is viewer.measured(view, None) is view
    fuller = viewer.measured(view, Usage(size=8000, used=2002, available=5998))
    assert viewer.view(GUID) is fuller and detail_json(fuller) != detail_json(view)


async def test_a_new_snapshot_makes_a_new_view(bench: Bench) -> None:
    await bench.start()
    view = await bench.create()
    bench.machine.unplug("B")
    await bench.agent.observer.refresh()
    after = await bench.agent.pools.get(GUID)
    assert [drive.is_connected for drive in after.drives] == [True, False]
    assert after is not view
