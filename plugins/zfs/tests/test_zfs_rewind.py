"""A zpool that was cut off, and whose newest state cannot be read."""

from __future__ import annotations

import asyncio

import pytest
from backy_zfs import queries, rewind
from backy_zfs.labels import behind, parse_label

from .zfs_sample_probe import LABELS, ZPOOL, Outcome, SampleProbe, one, sample

TORN = Outcome(1, "", "zdb: can't open 'tank': Input/output error\n")
OPENED = sample("fuse-earlier.uberblock")
STATES = "".join(
    f"Uberblock[{txg}]\n\ttxg = {txg}\n\tguid_sum = 4\n\ttimestamp = {seconds} UTC = Sun Nov 29\n"
    for txg, seconds in ((14, 1795989726), (16, 1795989732), (15, 1795989729))
)


def probe(newest: Outcome = TORN, earlier: str = OPENED, state: int = 0) -> SampleProbe:
    labels = {key: text.replace("state: 0", f"state: {state}") for key, text in LABELS.items()}
    sample = SampleProbe("no pools available\n", labels)
    sample.newest, sample.earlier = newest, Outcome(0 if earlier else 1, earlier)
    sample.states = {"vda1": STATES, "vdb1": ""}
    return sample


async def test_it_says_which_state_it_goes_back_to_and_what_that_discards() -> None:
    torn = probe()
    assert (await one(torn)).needs_force == (
        "ZFS cannot read the newest state of the pool (transaction group 16, written "
        "2026-11-29T22:02:12Z). It can go back to transaction group 15, written "
        "2026-11-29T22:02:09Z, which discards up to 4 seconds of writes"
    )
    assert torn.commands[-4:-2] == [(*queries.NEWEST, ZPOOL), (*queries.EARLIER, ZPOOL)]


async def test_less_is_said_where_less_is_known() -> None:
    torn = probe()
    torn.states = {}
    reported = (await one(torn)).needs_force or ""
    assert "of the pool. It can go back to transaction group 15" in reported
    assert reported.endswith("discards what was written after that")


@pytest.mark.parametrize(
    "well",
    [
        probe(Outcome(0, OPENED)),
        probe(Outcome(1, "", "zdb: can't open 'tank': No such device or address\n")),
        probe(earlier=""),
    ],
    ids=["it opens", "members are missing", "no state can be read"],
)
async def test_force_is_for_what_it_helps_alone(well: SampleProbe) -> None:
    assert (await one(well)).needs_force is None


@pytest.mark.parametrize("state", [1, 2], ids=["exported", "destroyed"])
async def test_what_was_not_cut_off_is_not_looked_into(state: int) -> None:
    resting = probe(state=state)
    await one(resting) if state == 1 else None
    assert not any(command[:2] == queries.NEWEST[:2] for command in resting.commands)


async def test_a_running_pool_is_not_looked_into() -> None:
    running = SampleProbe(sample("openzfs-mirror-online.status"), LABELS)
    running.newest = TORN
    assert (await one(running)).needs_force is None


async def test_no_look_is_lost_over_a_zdb_that_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(SampleProbe):
        async def run(self, *argv: str) -> Outcome:
            if argv[:2] == ("zdb", "-e"):
                await asyncio.sleep(60)
            return await super().run(*argv)

    monkeypatch.setattr(rewind, "_PATIENCE_S", 0.01)
    report = await one(Slow("", LABELS))
    assert report.needs_force is None and report.presence == "stopped"


def test_openzfs_prints_more_and_the_same() -> None:
    (opened,) = rewind.parse_states(sample("openzfs-earlier.uberblock"))
    written = rewind.parse_states(sample("openzfs-mirror.uberblocks"))
    assert [state.txg for state in written] == [14, 15, 16] and opened == written[1]
    assert rewind.told(max(written), opened).endswith("discards up to 1 second of writes")


def test_how_far_a_member_is_behind() -> None:
    newest = parse_label(LABELS["vda1"])
    assert newest and behind(newest, newest) is None
    older = newest._replace(txg=newest.txg - 6)
    assert behind(older, newest) == "6 transaction groups behind by its label (9 of 15)"
