"""Each check of the doctor finds its trouble, and nothing on a healthy machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from backy_core.operations.journal import Stuck
from backy_core.pools.doctor.doctor import CHECKS
from backy_core.pools.doctor.findings import Check, Facts, Finding, Severity
from backy_core.pools.doctor.of_machine import ClockJump
from backy_core.sdk.advice import Hint, Verb
from backy_core.sdk.models import Tool
from backy_core.store.opens_on import OpensOn
from backy_core.system import runtime_files
from backy_core.system.directories import Place
from backy_core.system.mounts import MountEntry
from tests.fakes.agent import GUID, OTHER, Bench
from tests.fakes.model import Content

CHECK = {check.name: check for check in CHECKS}


@pytest.fixture
async def ready(bench: Bench) -> Bench:
    """A healthy pool of A and B, beside the blank drive C."""
    await bench.start()
    assert (await bench.create()).state == "ready"
    return bench


def facts(bench: Bench, **changes: Any) -> Facts:
    return replace(bench.agent.doctor._facts(), **changes)


def findings(check: str, known: Facts) -> list[Finding]:
    return list(CHECK[check].findings(known))


def only(check: str, known: Facts) -> Finding:
    (finding,) = findings(check, known)
    return finding


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
async def test_nothing_is_wrong_with_a_healthy_machine(ready: Bench, check: Check) -> None:
    assert list(check.findings(facts(ready, offered_filesystems=frozenset({"ext4"})))) == []


async def test_the_worst_comes_first(ready: Bench) -> None:
    core = ready.agent._core
    core.journal.damaged["op.jsonl"] = "it is torn"
    await ready.agent.pools.forget(GUID)
    diagnoses = await ready.agent.doctor.examine()
    assert [(one.check, one.finding.severity) for one in diagnoses] == [
        ("journal", "error"),
        ("unowned-pools", "warning"),
        ("unowned-mounts", "warning"),
    ]
    core.journal.damaged.clear()


async def test_pools_that_nobody_knows(ready: Bench) -> None:
    await ready.agent.pools.forget(GUID)
    running = only("unowned-pools", facts(ready))
    assert (running.severity, running.subject) == (Severity.WARNING, GUID)
    assert running.hint == Hint(Verb.IMPORT, GUID)
    assert "drives: A, B" in running.evidence


async def test_a_stopped_pool_from_elsewhere_is_no_trouble(bench: Bench) -> None:
    bench.machine.make_pool(OTHER, "nas:data", "A", "B", fs=Content("ext4", OTHER))
    await bench.start()
    assert only("unowned-pools", facts(bench)).severity is Severity.INFO


async def test_mounts_that_no_pool_owns(ready: Bench) -> None:
    snapshot = ready.agent.observer.snapshot

    def with_mount(path: Path) -> Facts:
        mount = MountEntry("8:99", "/", str(path), frozenset({"rw"}), "ext4", "/dev/sdq1")
        return facts(ready, snapshot=replace(snapshot, mounts=(*snapshot.mounts, mount)))

    own = only("unowned-mounts", with_mount(ready.mounts / "old"))
    assert (own.severity, own.subject) == (Severity.WARNING, str(ready.mounts / "old"))
    beside = with_mount(ready.settings.mount_roots[0] / "usb")
    assert only("unowned-mounts", beside).severity is Severity.INFO
    assert findings("unowned-mounts", with_mount(Path("/boot"))) == []
    assert findings("unowned-mounts", with_mount(ready.settings.mount_root)) == []


async def test_quarantined_drives(ready: Bench) -> None:
    ready.agent._core.journal.doubtful["C"] = "a roll-back left it in an unknown state"
    finding = only("quarantined", facts(ready))
    assert (finding.severity, finding.subject) == (Severity.ERROR, "C")
    assert finding.evidence == ("a roll-back left it in an unknown state",)
    ready.agent._core.journal.doubtful.clear()


@pytest.mark.parametrize(
    ("stuck", "severity"),
    [(Stuck(reason="mdadm failed"), Severity.ERROR), (None, Severity.INFO)],
)
async def test_work_that_is_not_settled(
    ready: Bench, stuck: Stuck | None, severity: Severity
) -> None:
    drives = (SimpleNamespace(serial="A"),)
    plan = SimpleNamespace(kind="create", pool=SimpleNamespace(guid=GUID), drives=drives)
    entry: Any = SimpleNamespace(opened=SimpleNamespace(plan=plan), stuck=stuck, commit=None)
    ready.agent._core.pending["op-1"] = entry
    finding = only("journal", facts(ready))
    assert (finding.severity, finding.subject) == (severity, "op-1")
    assert "drives: A" in finding.evidence
    assert finding.hint == (Hint(Verb.TEARDOWN, GUID) if stuck else None)
    ready.agent._core.pending.clear()


async def test_a_damaged_journal(ready: Bench) -> None:
    ready.agent._core.journal.damaged["op.jsonl"] = "it is torn"
    finding = only("journal", facts(ready))
    assert finding.subject == str(ready.settings.journal_dir / "op.jsonl")
    assert finding.evidence == ("it is torn", "it names no drive that can be read")
    ready.agent._core.journal.damaged.clear()


async def test_missing_programs(ready: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = (Tool(name="mdadm", package="mdadm"),)
    monkeypatch.setattr(
        "backy_core.plugins.host.LoadedBackend.missing_tools", lambda backend: missing
    )
    used = only("tools", facts(ready))
    assert (used.severity, used.remedy) == (Severity.ERROR, "apt-get install mdadm")
    await ready.agent.pools.forget(GUID)
    assert only("tools", facts(ready)).severity is Severity.INFO


async def test_tools_that_are_too_old(bench: Bench) -> None:
    await bench.start()

    async def old() -> list[tuple[str, str]]:
        diagnoses = await bench.agent.doctor.examine()
        return [(one.finding.subject, one.finding.severity) for one in diagnoses]

    bench.machine.version = "4.1"
    assert await old() == [("mdadm", "info")]
    await bench.create()
    bench.machine.version = "1.46.9"
    assert await old() == [("mdadm", "warning"), ("mkfs.ext4", "warning")]
    bench.machine.version = "4.2"
    assert await old() == []
    bench.machine.version = "4.1"
    assert await old() == [], "asked once"


async def test_backends_that_see_nothing(ready: Bench) -> None:
    snapshot = replace(ready.agent.observer.snapshot, problems={"mdadm": "it hangs"})
    finding = only("backends", facts(ready, snapshot=snapshot))
    assert (finding.subject, finding.evidence) == ("mdadm", ("it hangs",))


async def test_a_kernel_without_the_filesystem(ready: Bench) -> None:
    finding = only("kernel-modules", facts(ready, offered_filesystems=frozenset({"xfs"})))
    assert (finding.severity, finding.subject) == (Severity.ERROR, GUID)
    assert "lacks ext4" in finding.message
    assert findings("kernel-modules", facts(ready, offered_filesystems=None)) == []


@pytest.mark.parametrize(
    ("kernel", "running", "severity"),
    [
        ("6.19", "6.1.0", Severity.ERROR),
        ("6.19", "6.19.2", None),
        (None, "6.19.2", Severity.WARNING),
    ],
)
async def test_pools_for_a_newer_kernel(
    ready: Bench, kernel: str | None, running: str, severity: Severity | None
) -> None:
    metadata = ready.agent._core.metadata
    needed = OpensOn(kernel=kernel, because=("md logical block size: Linux 6.19",))
    await metadata.put(metadata.entries()[0].model_copy(update={"opens_on": needed}))
    found = [finding.severity for finding in findings("newer-kernel", facts(ready, kernel=running))]
    assert found == ([severity] if severity else [])


async def test_an_agent_in_a_namespace_of_its_own(ready: Bench) -> None:
    assert only("mount-namespace", facts(ready, own_namespace=True)).severity is Severity.ERROR


@pytest.mark.parametrize(("jump", "way"), [(3600.4, "forward by 3600 s"), (-90, "back by 90 s")])
async def test_a_clock_that_jumped(ready: Bench, jump: float, way: str) -> None:
    assert way in only(ClockJump.name, facts(ready, clock_jump_s=jump)).message
    assert findings(ClockJump.name, facts(ready, clock_jump_s=jump / 1000)) == []


async def test_the_jump_is_measured_from_the_start_on(
    ready: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert abs(facts(ready).clock_jump_s) < 5
    monkeypatch.setattr(ready.agent.clock, "monotonic", lambda: -1000.0)
    assert abs(facts(ready).clock_jump_s) > 900


async def test_drives_without_a_serial_and_with_the_same(ready: Bench) -> None:
    snapshot = ready.agent.observer.snapshot
    first, second, third = snapshot.drives
    twins = (first._replace(ambiguous=True), second._replace(id=first.id, ambiguous=True))
    nameless = third._replace(identified_by="name")
    changed = replace(snapshot, drives=(*twins, nameless))
    unnamed, same = findings("drive-identity", facts(ready, snapshot=changed))
    assert (unnamed.severity, unnamed.subject) == (Severity.WARNING, "C")
    assert (same.severity, same.evidence) == (Severity.ERROR, (first.node, second.node))


async def test_files_that_cannot_be_used(ready: Bench) -> None:
    ready.agent.audit.problem = "audit.log cannot be written: No space left on device"
    ready.agent.other_problems.append(lambda: "agent.pem: mismatch")
    evidence = [finding.evidence for finding in findings("own-files", facts(ready))]
    assert evidence == [(ready.agent.audit.problem,), ("agent.pem: mismatch",)]


async def test_files_of_killed_tools(ready: Bench, tmp_path: Path) -> None:
    run, proc = tmp_path / "mdadm", tmp_path / "proc"
    run.mkdir()
    (run / "creating-md127").touch()
    stale = runtime_files.find_stale(run, proc)
    assert only("leftovers", facts(ready, leftovers=stale)).subject == str(run / "creating-md127")
    (proc / "77").mkdir(parents=True)
    (proc / "77" / "comm").write_text("mdadm\n")
    assert runtime_files.find_stale(run, proc) == ()


async def test_a_directory_that_a_backup_would_fill(ready: Bench) -> None:
    await ready.unmount()
    assert findings("mount-places", facts(ready)) == []
    for place, words in (
        (Place("none", True), "lost its immutable flag"),
        (Place("mode", True), "does not stop root"),
        (Place("none", False), "not on the pool"),
    ):
        finding = only("mount-places", facts(ready, places={GUID: place}))
        assert (finding.severity, finding.subject) == (Severity.WARNING, ready.path())
        assert words in finding.evidence[0]


async def test_a_directory_of_somebody_else(bench: Bench) -> None:
    Path(bench.path()).mkdir()
    await bench.start()
    await bench.create()
    await bench.unmount()
    assert only("mount-places", facts(bench)).severity is Severity.INFO
