"""Nothing is written where a pool belongs while it is away, and what is there can be asked."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from backy_core.sdk.errors import NotFound
from tests.fakes.agent import GUID, Bench
from tests.fakes.interruptions import How


async def _instead(bench: Bench, path: str) -> str | None:
    with pytest.raises(NotFound) as refused:
        await bench.agent.pools.mounted_pool(path)
    return refused.value.details


async def test_the_directory_is_sealed_from_creation_to_deletion(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    assert bench.machine.sealed == {bench.path()}
    await bench.unmount()
    await bench.restart()
    assert bench.machine.sealed == {bench.path()}
    await bench.delete()
    assert bench.machine.sealed == set() and bench.directories == []


@pytest.mark.parametrize("by", ["unmounting", "the next start"])
async def test_a_directory_of_an_earlier_agent_is_sealed(bench: Bench, by: str) -> None:
    await bench.start()
    await bench.create()
    bench.machine.sealed.clear()
    await bench.unmount()
    if by == "the next start":
        bench.machine.sealed.clear()
        await bench.restart()
        async with asyncio.timeout(5):
            while not bench.machine.sealed:
                await asyncio.sleep(0.002)
    assert bench.machine.sealed == {bench.path()}


async def test_a_directory_that_was_there_is_left_as_it_was(bench: Bench) -> None:
    Path(bench.path()).mkdir()
    await bench.start()
    await bench.create()
    await bench.unmount()
    await bench.restart()
    assert bench.machine.sealed == set()
    await bench.delete()
    assert bench.directories == [GUID]


async def test_each_path_that_a_pool_had_stays_sealed_until_it_is_deleted(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    await bench.unmount()
    elsewhere = str(bench.mounts / "elsewhere")
    assert await bench.mount(path=elsewhere) is None
    assert bench.machine.sealed == {bench.path(), elsewhere}
    await bench.delete()
    assert bench.machine.sealed == set() and bench.directories == []


@pytest.mark.parametrize("how", [How.STATUS, How.SILENT])
async def test_a_pool_is_made_where_no_directory_can_be_sealed(bench: Bench, how: How) -> None:
    bench.machine.interruptions.fail("chattr", how)
    await bench.start()
    assert (await bench.create()).state == "ready"
    assert await bench.unmount() is None
    assert await bench.delete() is None
    bench.assert_nothing_left("A", "B")


async def test_a_forgotten_pool_comes_back_with_its_directory(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    await bench.agent.pools.forget(GUID)
    await bench.agent.pools.import_pool(GUID, None, None)
    await bench.delete()
    bench.assert_nothing_left("A", "B")


async def test_a_path_proves_its_pool(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    for path in (bench.path(), bench.path()[1:]):
        entry, mount = await bench.agent.pools.mounted_pool(path)
        assert (entry.guid, mount.path, mount.fstype) == (GUID, bench.path(), "ext4")
    assert await _instead(bench, "/somewhere") is None


async def test_what_is_there_instead_is_told(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    await bench.unmount()
    assert "nothing can be written" in str(await _instead(bench, bench.path()))
    bench.machine.sealed.clear()
    assert "can be written into" in str(await _instead(bench, bench.path()))
    Path(bench.path(), "backup").touch()
    assert "files that are not the pool's" in str(await _instead(bench, bench.path()))
    Path(bench.path(), "backup").unlink()
    Path(bench.path()).rmdir()
    assert "does not exist" in str(await _instead(bench, bench.path()))


async def test_a_mount_table_that_changed_is_believed_at_once(bench: Bench) -> None:
    """The snapshot still shows the pool; the kernel does not."""
    await bench.start()
    await bench.create()
    (mount,) = bench.machine.mounts
    bench.machine.mounts.clear()
    assert "Nothing is mounted there" in str(await _instead(bench, bench.path()))
    bench.machine.mounts.append(mount)
    entry, _ = await bench.agent.pools.mounted_pool(bench.path())
    assert entry.guid == GUID
