"""A verb that nobody has heard of runs, crashes and recovers through the flow of all verbs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from backy_core.operations.journal import Commit, JournalEntry
from backy_core.operations.kinds import OperationKind
from backy_core.operations.records import Operation
from backy_core.pools.core import compose
from backy_core.pools.lifecycle import steps
from backy_core.pools.lifecycle.verb import Direction, PlannedVerb, committing
from backy_core.sdk.errors import BackyError, Conflict
from backy_core.sdk.plan import Plan
from backy_core.store.metadata import PoolEntry
from tests.fakes.agent import GUID, Bench

FIRST, PIVOT, COMMIT = "recorded begun one", "recorded begun two", "recorded commit"


class Polishing(NamedTuple):
    plan: Plan
    entry: PoolEntry


class Polish(PlannedVerb[str, Polishing]):
    """Makes two directories, the second past recall, and gives the pool a new label."""

    kind = OperationKind.ADD  # the API's words are a closed set; that of the plan is the verb's own
    plan_kind = "polish"

    async def admit(self, op: Operation, guid: str, request: str) -> Polishing | None:
        entry = self._core.entry(guid)
        if entry.label == request:
            return None
        if not request:
            raise Conflict("There is nothing to polish with")
        mounts = Path(entry.last_mount_path or "").parent
        one, two = (
            steps.make_directory(str(mounts / name), (str(mounts / name),)).model_copy(
                update={"id": name, "effect": effect}
            )
            for name, effect in (("one", "none"), ("two", "pivot"))
        )
        plan = compose(
            self.plan_kind,
            self._core,
            entry.spec(),
            entry.backend,
            steps=(one, two),
            drives=entry.drive_ids,
        )
        return Polishing(plan, entry.model_copy(update={"label": request}))

    def subject(self, case: Polishing) -> dict[str, Any]:
        return {"label": case.entry.label}

    async def perform(self, op: Operation, journal: JournalEntry, case: Polishing) -> Commit:
        await self._core.executor.run(op, journal, case.plan)
        return committing(case.entry)

    def request_of(self, journal: JournalEntry) -> str:
        return str(journal.opened.subject["label"])


class Back(Polish):
    direction = Direction.BACK


class Forward(Polish):
    direction = Direction.FORWARD


class BackUntilPivot(Polish):
    direction = Direction.BACK_UNTIL_PIVOT


VERBS = pytest.mark.parametrize("verb", [Back, Forward, BackUntilPivot])


async def _start(bench: Bench, verb: type[Polish]) -> None:
    agent = bench.build()
    agent.pools.verbs.by_plan["polish"] = verb(agent._core)
    await agent.start()
    await bench.settled()


async def _polish(bench: Bench, label: str = "polished") -> BackyError | None:
    pools = bench.agent.pools
    return await bench.ended(await pools.start(pools.verbs.by_plan["polish"], GUID, label))


async def _crash(bench: Bench, moment: str) -> None:
    interruptions = bench.machine.interruptions

    def die() -> None:
        interruptions.crash_at = len(interruptions.reached) - 1

    interruptions.when(moment, die)
    assert await bench.until_crash(_polish(bench)), "it came to that moment"
    interruptions.reset()


def _assert_polished(bench: Bench, *, polished: bool) -> None:
    assert not bench.journal
    assert bench.directories == sorted([GUID, "one", "two"] if polished else [GUID])
    assert bench.remembered[GUID].label == ("polished" if polished else "backup-1")


async def test_it_runs(bench: Bench) -> None:
    await _start(bench, Back)
    await bench.create()
    assert await _polish(bench) is None
    _assert_polished(bench, polished=True)
    assert await _polish(bench) is None, "already so"


async def test_it_refuses(bench: Bench) -> None:
    await _start(bench, Back)
    await bench.create()
    with pytest.raises(Conflict, match="nothing to polish with"):
        await _polish(bench, "")
    _assert_polished(bench, polished=False)


@VERBS
@pytest.mark.parametrize("moment", [FIRST, PIVOT, COMMIT])
async def test_after_a_crash_it_goes_its_way(bench: Bench, verb: type[Polish], moment: str) -> None:
    await _start(bench, verb)
    await bench.create()
    await _crash(bench, moment)
    await _start(bench, verb)
    forward = {Back: (), Forward: (FIRST, PIVOT), BackUntilPivot: (PIVOT,)}[verb]
    _assert_polished(bench, polished=moment in (COMMIT, *forward))


@VERBS
async def test_a_commit_that_cannot_be_written_rolls_it_back_or_is_made_later(
    bench: Bench, verb: type[Polish]
) -> None:
    await _start(bench, verb)
    await bench.create()
    bench.machine.interruptions.when("torn commit", _disk_full)
    assert await _polish(bench) is not None
    bench.machine.interruptions.reset()
    if verb is Back:
        _assert_polished(bench, polished=False)
    await bench.stop()
    await _start(bench, verb)
    _assert_polished(bench, polished=verb is not Back)


async def test_an_agent_that_does_not_know_the_verb_leaves_its_work_alone(bench: Bench) -> None:
    await _start(bench, Back)
    await bench.create()
    await _crash(bench, FIRST)
    await bench.start()
    (recovery,) = (op for op in bench.agent.operations.all() if op.recovers)
    assert "polish" in str(recovery.error) and bench.journal
    await bench.stop()
    await _start(bench, Back)
    _assert_polished(bench, polished=False)


def _disk_full() -> None:
    raise OSError(28, "No space left on device")
