"""One view of a pool, with what was made of it, until entry, usage or snapshot change."""

from __future__ import annotations

from backy_core.api.pool_replies import detail_content, list_content
from backy_core.pools.views import PoolView
from tests.fakes.agent import GUID, Bench


async def test_an_unchanged_pool_has_one_view(bench: Bench) -> None:
    await bench.start()
    view = await bench.create()
    (listed,) = await bench.agent.pools.list()
    assert await bench.agent.pools.get(GUID) is listed is view


async def test_what_is_made_of_a_view_is_made_once(bench: Bench) -> None:
    await bench.start()
    view = await bench.create()
    made: list[PoolView] = []

    def label(pool: PoolView) -> str:
        made.append(pool)
        return pool.label

    assert view.once(label) == view.once(label) and made == [view]
    assert detail_content(view) is detail_content(view)
    await bench.agent.pools.rename(GUID, "other", None)
    assert (await bench.agent.pools.get(GUID)).once(label) == "other"


async def test_an_unchanged_list_is_the_same_object(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    pools = await bench.agent.pools.list()
    await bench.agent.observer.refresh()
    assert await bench.agent.pools.list() is pools
    assert list_content(pools) is list_content(await bench.agent.pools.list())
    await bench.agent.pools.rename(GUID, "other", None)
    renamed = await bench.agent.pools.list()
    assert renamed is not pools and b'"label":"other"' in list_content(renamed).body


async def test_unchanged_drives_are_the_same_object(bench: Bench) -> None:
    await bench.start()
    service = bench.agent.drives_service
    drives = await service.list()
    await bench.agent.observer.refresh()
    assert await service.list() is drives
    await service.protect("A")
    assert [drive.protected for drive in await service.list()][:2] == [True, False]
    protected = await service.list()
    bench.machine.unplug("B")
    await bench.agent.observer.refresh()
    assert len(await service.list()) == len(protected) - 1


async def test_a_new_snapshot_makes_a_new_view(bench: Bench) -> None:
    await bench.start()
    view = await bench.create()
    bench.machine.unplug("B")
    await bench.agent.observer.refresh()
    after = await bench.agent.pools.get(GUID)
    assert [drive.is_connected for drive in after.drives] == [True, False]
    assert after is not view
