"""Asking a backend for its pools, whatever it does meanwhile."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Sequence
from typing import cast

import pytest

from backy_core.plugins.host import PluginHost
from backy_core.sdk.errors import BackendFailure
from backy_core.sdk.models import (
    PoolReport,
    Probe,
)
from tests.core.plugins.toys import GUID, POOL, PROBE, REPORT, Toy, hosting, toy


async def test_inspect_gives_reports() -> None:
    assert await hosting(Toy()).inspect("toy", PROBE) == (REPORT,)


async def test_a_pool_that_is_not_there_is_not_reported() -> None:
    gone = REPORT.model_copy(update={"presence": "absent"})
    with pytest.raises(BackendFailure, match=r"toy answered backy_inspect with pool .* as absent"):
        await hosting(inspecting([gone])).inspect("toy", PROBE)


def inspecting(answer: object) -> object:
    async def backy_inspect(self: object) -> object:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return toy(backy_inspect=backy_inspect)


@pytest.mark.parametrize("answer", [None, 5, [None], [{"native_id": GUID}], iter([REPORT])])
async def test_reports_of_the_wrong_type_are_a_failure(answer: object) -> None:
    with pytest.raises(BackendFailure, match="toy answered backy_inspect with"):
        await hosting(inspecting(answer)).inspect("toy", PROBE)


@pytest.mark.parametrize("error", [OSError("gone"), SystemExit(1), KeyboardInterrupt()])
async def test_a_raising_inspect_is_named(error: BaseException) -> None:
    with pytest.raises(BackendFailure, match="toy failed in backy_inspect"):
        await hosting(inspecting(error)).inspect("toy", PROBE)


async def test_an_inspect_that_ignores_its_cancellation_does_not_hold_up() -> None:
    ended = asyncio.Event()

    async def backy_inspect(self: object) -> Sequence[PoolReport]:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await ended.wait()
        return []

    host = hosting(toy(backy_inspect=backy_inspect), inspect_deadline_s=0.05)
    before = time.monotonic()
    with pytest.raises(BackendFailure, match="did not answer backy_inspect in time"):
        await host.inspect("toy", PROBE)
    assert time.monotonic() - before < 10
    ended.set()


async def test_an_inspect_that_blocks_holds_up_its_own_backend_alone() -> None:
    release = threading.Event()
    looks: list[int] = []

    async def backy_inspect(self: object) -> Sequence[PoolReport]:
        looks.append(1)
        release.wait(30)
        return [REPORT]

    host = hosting(toy(backy_inspect=backy_inspect), inspect_deadline_s=0.2)
    asking = asyncio.create_task(host.inspect("toy", PROBE))
    await asyncio.sleep(0.01)
    assert (await host.plan_close("toy", POOL, REPORT)).steps == ()
    for refused in (asking, host.inspect("toy", PROBE)):
        with pytest.raises(BackendFailure, match="did not answer backy_inspect in time"):
            await refused
    assert len(looks) == 1, "a second thread hangs beside the first"
    release.set()
    async with asyncio.timeout(10):
        while await _refuses(host):
            await asyncio.sleep(0.01)
    assert await host.inspect("toy", PROBE) == (REPORT,)


async def _refuses(host: PluginHost) -> bool:
    try:
        await host.inspect("toy", PROBE)
    except BackendFailure:
        return True
    return False


async def test_programs_are_run_in_the_agents_own_loop_and_files_read_in_the_plugins() -> None:
    """A plugin's loop may be blocked, and then nobody would wait for its programs."""
    home, seen = threading.get_ident(), []

    class Probing:
        drives, signatures = (), ()

        async def read(self, *paths: str) -> tuple[str | None, ...]:
            seen.append(threading.get_ident())
            return paths

        async def run(self, *argv: str) -> str:
            seen.append(threading.get_ident())
            return argv[0]

    async def backy_inspect(self: object, probe: Probe) -> Sequence[PoolReport]:
        seen.append(threading.get_ident())
        assert await probe.read("/proc/mdstat") == ("/proc/mdstat",)
        assert await probe.run("lsblk") == "lsblk"  # type: ignore[comparison-overlap]
        return []

    host = hosting(toy(backy_inspect=backy_inspect))
    assert await host.inspect("toy", cast(Probe, Probing())) == ()
    assert [each == home for each in seen] == [False, False, True]


def test_the_thread_of_a_host_that_is_gone_ends() -> None:
    threads: list[threading.Thread] = []

    async def backy_inspect(self: object) -> Sequence[PoolReport]:
        threads.append(threading.current_thread())
        return []

    host = hosting(toy(backy_inspect=backy_inspect))
    asyncio.run(host.inspect("toy", PROBE))
    assert threads[0].is_alive()
    del host
    gc.collect()
    threads[0].join(10)
    assert not threads[0].is_alive()
