"""Views with usage: new ones for a new usage, the same ones otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from backy_core.pools.reading.measuring import Measuring
from backy_core.pools.reading.usage import UsageReader
from backy_core.pools.views import PoolState, PoolView, PoolViews
from backy_core.system import mounts
from backy_core.system.usage import Usage
from tests.fakes.clock import FakeClock

EMPTY, FULL = Usage(10, 0, 10), Usage(10, 10, 0)


class Answers(UsageReader):
    """Told what it answers, and for how long that is fresh."""

    def __init__(self) -> None:
        super().__init__(mounts, FakeClock())
        self.usages: dict[str, Usage] = {}
        self.asked = 0
        self.fresh = 0.0

    async def read(self, paths: Iterable[str], within_s: float | None = None) -> dict[str, Usage]:
        self.asked += 1
        return {path: self.usages[path] for path in paths if path in self.usages}

    def fresh_until(self, paths: Iterable[str]) -> float:
        return self.fresh


def pool(name: str, mounted: bool = True) -> PoolView:
    state = PoolState.READY if mounted else PoolState.UNMOUNTED
    return PoolView(name, name, state, mount_path=f"/{name}", is_mounted=mounted)


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def measuring(answers: Answers) -> Measuring:
    return Measuring(answers, FakeClock())


async def test_only_a_changed_pool_is_another_object(
    measuring: Measuring, answers: Answers
) -> None:
    answers.usages = {"/a": EMPTY, "/b": EMPTY}
    plain = PoolViews((pool("a"), pool("b"), pool("c", mounted=False)))
    first = await measuring.all(plain)
    assert [view.usage for view in first] == [EMPTY, EMPTY, None]
    assert await measuring.all(plain) is first
    assert await measuring.all(PoolViews(map(replace, plain))) is first
    answers.usages["/b"] = FULL
    second = await measuring.all(plain)
    assert [view.usage for view in second] == [EMPTY, FULL, None]
    assert [a is b for a, b in zip(first, second, strict=True)] == [True, False, True]
    assert await measuring.one(plain[1]) is second[1]
    assert (await measuring.all(PoolViews([pool("a", mounted=False)])))[0].usage is None


async def test_fresh_answers_are_not_asked_for_again(
    measuring: Measuring, answers: Answers
) -> None:
    plain = PoolViews([pool("a")])
    answers.fresh = float("inf")
    assert await measuring.all(plain) is await measuring.all(plain)
    assert answers.asked == 1
    await measuring.all(PoolViews([pool("a"), pool("b")]))
    assert answers.asked == 2


async def test_an_answer_that_never_came_is_never_fresh() -> None:
    reader = UsageReader(mounts, FakeClock())
    assert reader.fresh_until(["/no/such"]) == 0
    assert reader.fresh_until([]) == float("inf")
