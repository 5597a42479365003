"""The observer on a machine made of data, with the real plugin host and a small backend."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from backy_core.config.settings import Settings
from backy_core.machine import observer
from backy_core.machine import poller as ticker
from backy_core.machine import probe as probing_view
from backy_core.machine.observer import Observer
from backy_core.machine.probe import MachineProbe
from backy_core.machine.signature_cache import SignatureCache
from backy_core.machine.snapshot import Snapshot
from backy_core.plugins.loading import load_backends
from backy_core.sdk import hookimpl
from backy_core.sdk.errors import BackendFailure, SystemFailure
from backy_core.sdk.models import (
    BackendInfo,
    Delivers,
    Level,
    MemberReport,
    PoolReport,
    PoolSpec,
    Probe,
    Signature,
    Tool,
    Unreadable,
)
from backy_core.sdk.plan import BackendPlan
from backy_core.system import blocks, contents, kernel, mounts, signatures
from backy_core.system.blocks import BlockDevice
from backy_core.system.machine import LINUX
from backy_core.system.mounts import MountEntry
from backy_core.system.outcome import CommandFailed
from backy_core.system.signatures import Probed
from backy_core.system.udev import KernelEvents

GUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"


def disk(name: str, serial: str, **facts: Any) -> BlockDevice:
    given = {"type": "disk", "size": 1 << 30, "majmin": f"8:{sum(name.encode())}", **facts}
    return BlockDevice(name=name, path=f"/dev/{name}", serial=serial, **given)


def report(**facts: Any) -> PoolReport:
    given: dict[str, Any] = {
        "native_id": GUID,
        "guid": GUID,
        "level": "raid1",
        "presence": "active",
        "health": "active",
        "expected_members": 1,
        "members": (MemberReport(device="sda", state="active"),),
        **facts,
    }
    return PoolReport(**given)


@dataclass
class Machine:
    """The state of a fake machine, which tests change."""

    devices: list[BlockDevice] = field(default_factory=list)
    mounts: tuple[MountEntry, ...] = ()
    bears: dict[str, str] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    probed: list[str] = field(default_factory=list)
    during_probe: Callable[[], None] = field(default=lambda: None)
    reads: int = 0

    def read(self) -> tuple[BlockDevice, ...]:
        self.reads += 1
        return tuple(self.devices)

    async def probe_each(self, nodes: Sequence[str]) -> Probed:
        names = [node.removeprefix("/dev/") for node in nodes]
        self.probed += names
        found = {
            name: (Signature(device=name, type=self.bears[name]),) if name in self.bears else ()
            for name in names
            if name not in self.unreadable
        }
        await asyncio.sleep(0)
        self.during_probe()
        return Probed(found, {name: "I/O error" for name in names if name in self.unreadable})


class Gate(threading.Event):
    """Opened in one event loop, waited for in that of a backend."""

    async def pass_through(self) -> None:
        while not self.is_set():
            await asyncio.sleep(0.005)


class Backend:
    """Answers with ``reports``, after ``wait``; or raises them if they are an error."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.reports: Sequence[PoolReport | Unreadable] | Exception = []
        self.wait: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0)
        self.asked = 0
        self.seen: tuple[Signature, ...] = ()
        self.refresh_s: float | None = None
        self.delivers: Delivers = "block"

    @hookimpl
    def backy_backend(self) -> BackendInfo:
        return BackendInfo(
            name=self.name,
            version="1",
            levels=(Level(name="raid1", min_drives=1),),
            filesystems=("ext4",),
            delivers=self.delivers,
            tools=(Tool(name="true", package="coreutils"),),
            read_commands=(("echo", "--yes"),),
            signature_types=("fake_member",),
            refresh_s=self.refresh_s,
        )

    @hookimpl
    async def backy_inspect(self, probe: Probe) -> Sequence[PoolReport | Unreadable]:
        self.asked += 1
        answer = self.reports
        self.seen = probe.signatures
        await self.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer

    @hookimpl
    def backy_plan_create(self, pool: PoolSpec) -> BackendPlan:
        return BackendPlan(steps=())

    @hookimpl
    def backy_plan_open(self, pool: PoolSpec) -> BackendPlan:
        return BackendPlan(steps=())

    @hookimpl
    def backy_plan_close(self, pool: PoolSpec) -> BackendPlan:
        return BackendPlan(steps=())

    @hookimpl
    def backy_plan_teardown(self, pool: PoolSpec) -> BackendPlan:
        return BackendPlan(steps=())


class Events(KernelEvents):
    """Announces what tests tell it to."""

    def start(
        self,
        loop: asyncio.AbstractEventLoop,
        on_block: Callable[[str, str], None],
        on_mdstat: Callable[[], None],
        on_mounts: Callable[[], None],
    ) -> None:
        self.on_block, self.on_mdstat, self.on_mounts = on_block, on_mdstat, on_mounts

    def stop(self) -> None:
        self.on_block, self.on_mdstat, self.on_mounts = (
            lambda *_: None,
            lambda: None,
            lambda: None,
        )


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine([disk("sda", "A"), disk("sdb", "B")])
    monkeypatch.setattr(blocks, "read_block_devices", made.read)
    monkeypatch.setattr(blocks, "swaps", lambda: frozenset())
    monkeypatch.setattr(mounts, "read_mounts", lambda: made.mounts)
    monkeypatch.setattr(signatures, "probe_each", made.probe_each)
    monkeypatch.setattr(observer, "_DEBOUNCE_S", 0.01)
    monkeypatch.setattr(ticker, "_TICK_S", 0.02)
    monkeypatch.setattr(ticker, "_REST_S", 0.02)
    monkeypatch.setattr(ticker, "_FRESH_S", 0.01)
    return made


class Polling(Backend):
    """Polls ``words``, or raises them if they are an error."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.refresh_s = 0.02
        self.words: str | Exception = "all is well"
        self.polled = 0

    @hookimpl
    async def backy_poll(self, probe: Probe) -> str:
        self.polled += 1
        if isinstance(self.words, Exception):
            raise self.words
        return self.words


@dataclass
class Watched:
    observer: Observer
    backend: Backend
    other: Backend
    events: Events
    changes: list[tuple[Snapshot, Snapshot]]


@asynccontextmanager
async def observing(
    *,
    start: bool = True,
    silent: float | None = None,
    backend: Backend | None = None,
    **settings: Any,
) -> AsyncIterator[Watched]:
    backends = backend or Backend("fake"), Backend("other")
    backends[1].refresh_s = silent
    host = load_backends(
        installed_backends=(), builtin=[(b.name, b) for b in backends], installed_listeners=()
    )
    assert set(host.backends) == {"fake", "other"}, host.failed
    events = Events()
    made = Observer(Settings(**{"drives_rescan_s": 0, **settings}), host, LINUX, events)
    changes: list[tuple[Snapshot, Snapshot]] = []
    made.subscribe(lambda before, after: changes.append((before, after)))
    if start:
        await made.start()
    yield Watched(made, *backends, events, changes)
    await made.stop()


async def until(condition: Callable[[], object], within_s: float = 5) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def test_before_the_first_look_there_is_an_empty_snapshot(machine: Machine) -> None:
    async with observing(start=False) as it:
        assert (it.observer.snapshot.generation, it.observer.snapshot.drives) == (0, ())
        assert it.observer.snapshot.owned_types["fake"] == {"fake_member"}


async def test_a_look_sees_everything(machine: Machine) -> None:
    machine.bears = {"sda": "fake_member"}
    machine.devices.append(
        disk("md127", "", type="raid1", fstype="ext4", uuid="u", parents=("sda",))
    )
    async with observing() as it:
        it.backend.reports = [report(device="md127")]
        snapshot = await it.observer.refresh()
        assert snapshot is it.observer.snapshot
        assert [drive.id.serial for drive in snapshot.drives] == ["A", "B"]
        seen = snapshot.report_for("fake", GUID)
        assert seen is not None
        assert [m.drive.serial for m in seen.members if m.drive] == ["A"]
        assert [s.type for s in it.backend.seen] == ["fake_member"]
        assert [s.type for s in snapshot.signatures["md127"]] == ["ext4"], "udev's word"
        assert "md127" not in machine.probed, "an array's node is never opened"
        assert snapshot.problems == {}


async def test_members_that_are_no_drive_stay_unknown(machine: Machine) -> None:
    async with observing() as it:
        members = (
            MemberReport(device=None, state="missing"),
            MemberReport(device="sdz", state="active"),
        )
        it.backend.reports = [report(members=members)]
        (seen,) = (await it.observer.refresh()).reports["fake"]
        assert [member.drive for member in seen.members] == [None, None]


async def test_a_device_is_probed_once_until_something_may_have_changed_it(
    machine: Machine,
) -> None:
    async with observing() as it:
        assert sorted(machine.probed) == ["sda", "sdb"]
        await it.observer.refresh()
        assert len(machine.probed) == 2
        it.observer.forget_signatures(["sda"])
        await it.observer.refresh()
        assert machine.probed[2:] == ["sda"]
        await it.observer.refresh(fresh_signatures_of=["sdb"])
        assert machine.probed[3:] == ["sdb"]
        machine.devices[0] = replace(machine.devices[0], diskseq=99)
        await it.observer.refresh()
        assert machine.probed[4:] == ["sda"], "another disk under the same name"
        machine.devices.pop(0)
        await it.observer.refresh()
        machine.devices.insert(0, disk("sda", "A", diskseq=99))
        await it.observer.refresh()
        assert machine.probed[5:] == ["sda"], "it was away"


async def test_a_change_during_the_probe_is_not_lost(machine: Machine) -> None:
    async with observing(start=False) as it:
        machine.during_probe = lambda: it.observer.forget_signatures(["sda"])
        await it.observer.refresh()
        machine.during_probe = lambda: None
        machine.bears = {"sda": "ext4"}
        snapshot = await it.observer.refresh()
        assert [s.type for s in snapshot.signatures["sda"]] == ["ext4"]
        assert machine.probed == ["sda", "sdb", "sda"]


async def test_an_unreadable_device_is_unknown_and_asked_again(machine: Machine) -> None:
    machine.unreadable = {"sda"}
    async with observing() as it:
        assert it.observer.snapshot.unprobed == {"sda": "I/O error"}
        assert "sda" not in it.observer.snapshot.signatures
        machine.unreadable = set()
        assert (await it.observer.refresh()).unprobed == {}


async def test_silence_is_not_blank(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(nodes: Sequence[str]) -> Probed:
        return Probed()

    monkeypatch.setattr(signatures, "probe_each", silent)
    async with observing() as it:
        assert set(it.observer.snapshot.unprobed) == {"sda", "sdb"}


async def test_excluded_drives_are_left_alone(machine: Machine) -> None:
    async with observing(exclude_drives=("A",)) as it:
        assert machine.probed == ["sdb"]
        assert [drive.excluded for drive in it.observer.snapshot.drives] == [True, False]


async def test_a_failing_backend_keeps_its_last_reports(machine: Machine) -> None:
    async with observing() as it:
        it.backend.reports = [report()]
        await it.observer.refresh()
        it.backend.reports = RuntimeError("broken")
        snapshot = await it.observer.refresh()
        assert snapshot.report_for("fake", GUID) is not None
        assert "fake" in snapshot.problems["fake"]
        assert "other" not in snapshot.problems
        with pytest.raises(BackendFailure, match="fake cannot inspect"):
            await it.observer.inspect("fake")
        it.backend.reports = []
        snapshot = await it.observer.refresh()
        assert (snapshot.reports["fake"], snapshot.problems) == ((), {})


async def test_a_drive_that_cannot_be_read_keeps_the_last_report_of_its_pools(
    machine: Machine,
) -> None:
    other = report(
        native_id="other", guid=None, members=(MemberReport(device="sdb", state="active"),)
    )
    doubt = Unreadable(device="sda", reason="checksum error")
    async with observing() as it:
        it.backend.reports = [report(), other]
        await it.observer.refresh()
        it.backend.reports = [doubt, other]
        for _ in range(2):
            snapshot = await it.observer.refresh()
            kept, good = snapshot.report_for("fake", GUID), snapshot.report_for("fake", "other")
            assert kept is not None and good is not None and snapshot.problems == {}
            why = snapshot.unseen_because("fake", kept, ())
            assert why == "Backend fake cannot read drive A: checksum error"
            assert snapshot.unseen_because("fake", good, ()) is None
            assert [each.native_id for each in await it.observer.inspect("fake")] == ["other"]
        assert snapshot.unseen_because("fake", None, ("A",)) == why
        assert snapshot.unseen_because("fake", None, ("B",)) is None
        it.backend.reports = [report(health="degraded"), doubt]
        fresh = (await it.observer.refresh()).report_for("fake", GUID)
        assert fresh is not None and fresh.health == "degraded"
        assert it.observer.snapshot.unseen_because("fake", fresh, ("A",)) is None
        it.backend.reports = []
        assert (await it.observer.refresh()).reports["fake"] == ()


async def test_a_hanging_backend_delays_nobody(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observer, "_PUBLISH_AFTER_S", 0.05)
    async with observing(start=False, inspect_deadline_s=2) as it:
        it.other.reports = [report()]
        it.backend.wait = lambda: asyncio.sleep(60)
        refreshing = asyncio.create_task(it.observer.refresh())
        await until(lambda: it.observer.snapshot.report_for("other", GUID), 3)
        assert not refreshing.done()
        assert len(it.observer.snapshot.drives) == 2
        assert len(await it.observer.inspect("other")) == 1
        snapshot = await refreshing
        assert set(snapshot.problems) == {"fake"}


async def test_callers_share_a_look_that_starts_after_they_asked(machine: Machine) -> None:
    async with observing() as it:
        gate = Gate()
        it.backend.wait = gate.pass_through
        before = machine.reads
        first = asyncio.create_task(it.observer.refresh())
        await until(lambda: it.backend.asked == 2)
        machine.devices.append(disk("sdc", "C"))
        later = [asyncio.create_task(it.observer.refresh()) for _ in range(5)]
        await asyncio.sleep(0.02)
        assert machine.reads == before + 1
        gate.set()
        assert len((await first).drives) == 2
        assert {len((await each).drives) for each in later} == {3}
        assert machine.reads == before + 2


async def test_a_cancelled_caller_does_not_end_the_look_of_others(machine: Machine) -> None:
    async with observing() as it:
        gate = Gate()
        it.backend.wait = gate.pass_through
        leaving = asyncio.create_task(it.observer.refresh())
        staying = asyncio.create_task(it.observer.refresh())
        await until(lambda: it.backend.asked == 2)
        leaving.cancel()
        gate.set()
        assert (await staying).generation > 0
        with pytest.raises(asyncio.CancelledError):
            await leaving


async def test_an_older_look_never_overwrites_a_newer_one(machine: Machine) -> None:
    async with observing() as it:
        gate = Gate()
        it.backend.wait = gate.pass_through
        it.backend.reports = [report(health="degraded")]
        slow = asyncio.create_task(it.observer.refresh())
        await until(lambda: it.backend.asked == 2)
        it.backend.wait = lambda: asyncio.sleep(0)
        it.backend.reports = [report(health="active")]
        machine.devices.append(disk("sdc", "C"))
        await it.observer.inspect("fake")
        gate.set()
        await slow
        (seen,) = it.observer.snapshot.reports["fake"]
        assert seen.health == "active"
        assert len(it.observer.snapshot.drives) == 3


async def test_inspect_and_refresh_drives_look_afresh(machine: Machine) -> None:
    async with observing() as it:
        it.backend.reports = [report()]
        asked = it.other.asked
        assert [each.native_id for each in await it.observer.inspect("fake")] == [GUID]
        assert it.observer.snapshot.report_for("fake", GUID) is not None
        machine.devices.append(disk("sdc", "C"))
        assert len((await it.observer.refresh_drives()).drives) == 3
        assert it.other.asked == asked


async def test_subscribers_hear_changes_and_only_changes(machine: Machine) -> None:
    async with observing() as it:
        it.changes.clear()
        await it.observer.refresh()
        assert it.changes == []
        machine.devices.pop()
        await it.observer.refresh()
        ((before, after),) = it.changes
        assert (len(before.drives), len(after.drives)) == (2, 1)
        assert after is it.observer.snapshot


async def test_a_failing_subscriber_harms_nobody(machine: Machine) -> None:
    async with observing(start=False) as it:
        heard: list[Snapshot] = []
        it.observer.subscribe(fail)
        it.observer.subscribe(lambda before, after: heard.append(after))
        unsubscribe = it.observer.subscribe(lambda before, after: heard.clear())
        unsubscribe()
        assert await it.observer.refresh() is heard[0]


def fail(before: Snapshot, after: Snapshot) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize("announce", ["block", "lost", "mdstat"])
async def test_events_make_it_look(machine: Machine, announce: str) -> None:
    async with observing() as it:
        machine.bears = {"sda": "ext4"}
        it.backend.reports = [report()]
        seen = it.observer.snapshot.generation
        match announce:
            case "block":
                it.events.on_block("change", "sda")
            case "lost":
                it.events.on_block("change", "")
            case "mdstat":
                it.events.on_mdstat()
        await until(lambda: it.observer.snapshot.generation > seen)
        assert it.observer.snapshot.report_for("fake", GUID) is not None
        fresh = {"block": ["sda"], "lost": ["sda", "sdb"]}.get(announce, [])
        assert sorted(machine.probed[2:]) == fresh


async def test_mounts_concern_backends_that_deliver_a_filesystem(machine: Machine) -> None:
    """A mount anywhere on the machine must not wake the drives of the others."""
    backend = Backend("fake")
    backend.delivers = "filesystem"
    mount = MountEntry("8:1", "/", "/srv", frozenset(), "ext4", "/dev/sda", 2, 1)
    async with observing(backend=backend) as watched:
        inspections = backend.asked
        machine.mounts = (mount,)
        machine.devices[0] = replace(machine.devices[0], mountpoint="/srv")
        watched.events.on_mounts()
        await until(lambda: watched.observer.snapshot.mounts == (mount,))
        await until(lambda: backend.asked == inspections + 1)
        assert watched.other.asked == inspections
        watched.events.on_mounts()
        watched.events.on_mdstat()
        watched.events.on_mounts()
        await until(
            lambda: (backend.asked, watched.other.asked) == (inspections + 2, inspections + 1)
        )


async def test_a_burst_of_events_is_one_look(machine: Machine) -> None:
    async with observing() as it:
        asked = it.backend.asked
        for _ in range(50):
            it.events.on_block("change", "sda")
        await until(lambda: it.backend.asked > asked)
        await asyncio.sleep(0.05)
        assert it.backend.asked == asked + 1


async def test_events_that_an_operation_causes_wait_for_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observer, "_QUIET_S", 30)
    async with observing() as it:
        reads = machine.reads
        with it.observer.quiet():
            it.events.on_block("change", "sda")
            await asyncio.sleep(0.1)
            assert machine.reads == reads
        await until(lambda: machine.reads > reads)


async def test_events_are_followed_during_a_long_operation(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observer, "_QUIET_S", 0.05)
    async with observing() as it:
        reads = machine.reads
        with it.observer.quiet():
            it.events.on_block("change", "sda")
            await until(lambda: machine.reads > reads)


@pytest.mark.parametrize(("longest_s", "followed"), [(30.0, False), (0.3, True)])
async def test_who_looks_at_the_outcome_needs_no_events_for_a_while(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, longest_s: float, followed: bool
) -> None:
    """The other backends are not asked meanwhile, so not for ever."""
    monkeypatch.setattr(observer, "_QUIET_S", 1.0)
    monkeypatch.setattr(observer, "_LONGEST_QUIET_S", longest_s)
    async with observing() as it:
        asked = it.backend.asked
        with it.observer.quiet():
            it.events.on_block("change", "sda")
            for _ in range(15):
                await it.observer.refresh_drives()
                await asyncio.sleep(0.1)
            assert (it.backend.asked > asked) is followed
        await until(lambda: it.backend.asked > asked)


async def test_an_event_that_a_look_has_seen_makes_no_other(machine: Machine) -> None:
    async with observing() as it:
        with it.observer.quiet():
            it.events.on_block("change", "sda")
            await asyncio.sleep(0.01)
            await it.observer.refresh()
        reads = machine.reads
        await asyncio.sleep(0.1)
        assert machine.reads == reads


async def test_an_event_during_a_look_is_followed_by_another(machine: Machine) -> None:
    async with observing() as it:
        gate = Gate()
        it.backend.wait = gate.pass_through
        asked = it.backend.asked
        it.events.on_mdstat()
        await until(lambda: it.backend.asked == asked + 1)
        it.backend.reports = [report()]
        it.events.on_mdstat()
        gate.set()
        await until(lambda: it.observer.snapshot.report_for("fake", GUID))


@pytest.mark.parametrize("facts", [{"sync_percent": 0.0}, {"health": "recovering"}])
async def test_progress_is_followed_without_events(machine: Machine, facts: dict[str, Any]) -> None:
    async with observing() as it:
        it.backend.reports = [report(**facts)]
        await it.observer.refresh()
        others = it.other.asked
        it.backend.reports = [report()]
        await until(lambda: it.observer.snapshot.reports["fake"][0] == _with_drive(report()))
        asked = it.backend.asked
        await asyncio.sleep(0.1)
        assert (it.backend.asked, it.other.asked) == (asked, others)


async def test_progress_that_was_just_looked_at_is_not_looked_at_again(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticker, "_FRESH_S", 30)
    async with observing() as it:
        it.backend.reports = [report(sync_percent=1.0)]
        await it.observer.inspect("fake")
        asked = it.backend.asked
        await asyncio.sleep(0.1)
        assert it.backend.asked == asked


def _with_drive(plain: PoolReport) -> PoolReport:
    (member,) = plain.members
    drive = {"serial": "A", "wwn": None, "size": 1 << 30}
    return PoolReport.model_validate(
        {**plain.model_dump(), "members": [{**member.model_dump(), "drive": drive}]}
    )


async def test_drives_are_looked_for_now_and_then(machine: Machine) -> None:
    async with observing(drives_rescan_s=0.05) as watched:
        machine.devices.pop()
        watched.backend.reports = [report()]
        await until(lambda: len(watched.observer.snapshot.drives) == 1)
        await until(lambda: watched.observer.snapshot.report_for("fake", GUID))


async def test_backends_of_a_machine_at_rest_are_not_asked(machine: Machine) -> None:
    """To inspect its pools a backend may read drives, which would never sleep."""
    async with observing(drives_rescan_s=0.02) as watched:
        inspections, reads, probed = watched.backend.asked, machine.reads, machine.probed[:]
        await until(lambda: machine.reads > reads + 3)
        assert (watched.backend.asked, watched.other.asked) == (inspections, inspections)
        assert machine.probed == probed
        machine.bears = {"sda": "fake_member"}
        watched.observer.forget_signatures(["sda"])
        await until(
            lambda: (
                (watched.backend.asked, watched.other.asked) == (inspections + 1, inspections + 1)
            )
        )


async def test_a_backend_in_doubt_is_asked_again_alone(machine: Machine) -> None:
    async with observing(drives_rescan_s=0.02) as watched:
        for trouble in (RuntimeError("once"), [Unreadable(device="sda", reason="I/O error")]):
            watched.backend.reports = trouble
            await watched.observer.refresh()
            inspections, of_other = watched.backend.asked, watched.other.asked
            await until(lambda: watched.backend.asked > inspections + 1)  # noqa: B023
            watched.backend.reports = []
            await until(lambda: not watched.observer.snapshot.problems)
            await until(lambda: not watched.observer.snapshot.unreadable["fake"])
            assert watched.other.asked == of_other


async def test_a_backend_is_asked_when_what_it_polls_has_changed(machine: Machine) -> None:
    polling = Polling("fake")
    async with observing(backend=polling):
        await until(lambda: polling.polled > 3)
        inspections = polling.asked
        await until(lambda: polling.polled > 6)
        assert polling.asked == inspections
        polling.words = "one member failed"
        await until(lambda: polling.asked == inspections + 1)
        polling.words = RuntimeError("no answer")
        await until(lambda: polling.asked > inspections + 3)


async def test_nothing_happens_after_the_end(machine: Machine) -> None:
    async with observing(drives_rescan_s=0.02) as it:
        it.backend.wait = lambda: asyncio.sleep(60)
        pending = asyncio.create_task(it.observer.refresh())
        await asyncio.sleep(0.02)
    assert pending.done()
    reads = machine.reads
    await asyncio.sleep(0.1)
    assert machine.reads == reads
    assert len(asyncio.all_tasks()) == 1


# The probe


def unknown() -> SignatureCache:
    return SignatureCache(LINUX.signatures)


def probe() -> MachineProbe:
    return MachineProbe(Backend("fake").backy_backend(), (), (), 5, LINUX, unknown())


async def test_the_probe_reads_kernel_files_only() -> None:
    version, missing = await probe().read("/proc/version", "/proc/none")
    assert version is not None and version.startswith("Linux version")
    assert missing is None
    assert "block" in await probe().listdir("/sys/class")
    assert await probe().listdir("/sys/none") == ()
    for path in (
        "/etc/shadow",
        "/proc/../etc/shadow",
        "/sys/../etc",
        "relative",
        "/proc",
        "/dev/sda",
    ):
        with pytest.raises(BackendFailure, match="may not read"):
            await probe().read(path)
        with pytest.raises(BackendFailure, match="may not read"):
            await probe().listdir(path)


async def test_a_file_of_procfs_that_waits_for_a_drive_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = threading.Event()
    monkeypatch.setattr(kernel, "read_whole", lambda path: str(release.wait(10)))
    monkeypatch.setattr(probing_view, "_ANSWER_S", 0.05)
    with pytest.raises(TimeoutError):
        await probe().read("/proc/mdstat")
    release.set()
    assert await probe().read("/sys/none") == ("True",)


async def test_a_superblock_on_a_drive_that_hangs_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = threading.Event()
    monkeypatch.setattr(contents, "read_at", lambda *place: release.wait(10) and b"late")
    monkeypatch.setattr(probing_view, "_ANSWER_S", 0.05)
    info = Backend("fake").backy_backend()
    stamp = Signature(device="sda", type=info.signature_types[0])
    hanging = MachineProbe(info, (), (stamp,), 30, LINUX, unknown())
    assert await hanging.superblock(stamp, 256) is None
    release.set()
    assert await hanging.superblock(stamp, 256) == b"late"


async def test_the_probe_reads_superblocks_of_the_backend_alone(tmp_path: Path) -> None:
    info = Backend("fake").backy_backend()
    (mine, *_) = info.signature_types
    # A node below /dev, reached by a name as kernels give it.
    image = tmp_path / "image"
    image.write_bytes(b"-" * 100 + b"magic" + b"+" * 8000)
    name = f"..{image}".replace("/", "!")
    known = Signature(device=name, type=mine, offset=100)
    other = Signature(device=name, type="ext4", offset=100)
    absent = Signature(device="sdzz", type=mine)
    looked = MachineProbe(info, (), (known, other, absent), 5, LINUX, unknown())
    assert await looked.superblock(known, 5) == b"magic"
    assert len(await looked.superblock(known, 1 << 30) or b"") == 4096
    assert await looked.superblock(absent, 5) is None
    for stranger in (other, known.model_copy(update={"offset": 0})):
        with pytest.raises(BackendFailure, match="may not read"):
            await looked.superblock(stranger, 5)


async def test_an_answer_that_was_cut_short_is_none() -> None:
    info = Backend("fake").backy_backend().model_copy(update={"read_commands": (("sleep",),)})
    with pytest.raises(CommandFailed, match="sleep gave no answer"):
        await MachineProbe(info, (), (), 0.2, LINUX, unknown()).run("sleep", "60")


async def test_the_probe_runs_declared_commands_only() -> None:
    outcome = await probe().run("echo", "--yes", "now")
    assert (outcome.code, outcome.stdout) == (0, "--yes now\n")
    for argv in (("echo",), ("echo", "now"), ("true",), ()):
        with pytest.raises(BackendFailure, match="may not run"):
            await probe().run(*argv)


async def test_what_was_just_seen_counts_until_something_happens(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observer, "_DEBOUNCE_S", 30)
    async with observing() as it:
        look, backend = it.observer.inspect, it.backend
        await look("fake")
        asked = backend.asked
        await look("fake", fresh=False)
        assert backend.asked == asked
        await look("fake")
        assert backend.asked == asked + 1
        it.observer.note_action()
        await look("fake", fresh=False)
        assert backend.asked == asked + 2
        it.events.on_mounts()
        await look("fake", fresh=False)
        assert backend.asked == asked + 3
        monkeypatch.setattr(observer, "_RECENT_S", 0)
        await look("fake", fresh=False)
        assert backend.asked == asked + 4


async def test_an_event_during_a_look_makes_it_old(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observer, "_DEBOUNCE_S", 30)
    async with observing() as it:

        async def event() -> None:
            it.events.on_mdstat()

        it.backend.wait = event
        await it.observer.inspect("fake")
        asked = it.backend.asked
        await it.observer.inspect("fake", fresh=False)
        assert it.backend.asked == asked + 1


async def test_a_backend_that_fails_is_asked_again(machine: Machine) -> None:
    async with observing() as it:
        it.backend.reports = SystemFailure("no")
        with pytest.raises(BackendFailure):
            await it.observer.inspect("fake")
        with pytest.raises(BackendFailure):
            await it.observer.inspect("fake", fresh=False)


async def test_an_operation_asks_its_own_backend_and_others_only_after_a_change(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observer, "_DEBOUNCE_S", 30)
    async with observing() as it:
        causes: list[tuple[Callable[[], None], bool]] = [
            (lambda: None, False),
            (it.events.on_mdstat, True),
            (it.observer.note_action, True),
        ]
        for event, changes in causes:
            own, others = it.backend.asked, it.other.asked
            event()
            await it.observer.refresh_for("fake")
            assert it.backend.asked == own + 1
            assert (it.other.asked > others) is changes


async def test_a_backend_that_no_event_speaks_for_is_always_asked(machine: Machine) -> None:
    async with observing(silent=3600) as it:
        others = it.other.asked
        await it.observer.refresh_for("fake")
        await it.observer.inspect("other", fresh=False)
        assert it.other.asked == others + 2


async def test_who_inspects_at_once_shares_the_next_look(machine: Machine) -> None:
    async with observing() as it:
        gate = Gate()
        it.backend.wait = gate.pass_through
        asked = it.backend.asked
        first = asyncio.create_task(it.observer.inspect("fake"))
        await until(lambda: it.backend.asked == asked + 1)
        others = [asyncio.create_task(it.observer.inspect("fake")) for _ in range(3)]
        await asyncio.sleep(0.02)
        gate.set()
        await asyncio.gather(first, *others)
        assert it.backend.asked == asked + 2
