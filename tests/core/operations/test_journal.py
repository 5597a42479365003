"""The journal after a power cut: records it returns, and records it never loses."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from backy_core.operations.journal import (
    Begun,
    Child,
    Commit,
    Done,
    Journal,
    JournalEntry,
    Opened,
    Planned,
    Record,
    Stuck,
    Undoing,
    Undone,
)
from backy_core.operations.kinds import OperationKind
from backy_core.sdk.models import DriveId, PoolSpec, SignatureMatch
from backy_core.sdk.plan import (
    Bears,
    DriveRef,
    Exec,
    Join,
    MakeDir,
    Plan,
    PoolDevice,
    RemoveDir,
    Step,
    WipeMember,
)
from backy_core.system.own_files import OwnDirectory

DRIVE = DriveId(serial="A", wwn="0x5", size=1000)
POOL = PoolSpec(
    guid="3fa85f64-5717-4562-b3fc-2c963f66afa6",
    label="backup",
    level="raid1",
    filesystem="ext4",
    fs_uuid="x",
    mount_path="/mnt/x",
    drives=(DRIVE,),
)


def plan(*steps: Step) -> Plan:
    return Plan(
        kind="create", backend="mdadm", plugin_version="1", pool=POOL, drives=(DRIVE,), steps=steps
    )


FIRST = Step(id="first", title="First", run=MakeDir(path="/x"), undo=(RemoveDir(paths=("/x",)),))
SECOND = Step(
    id="second",
    title="Second",
    run=Exec(argv=("mdadm", Join(sep=":", parts=("a", PoolDevice())), DriveRef(drive=DRIVE))),
    undo=(WipeMember(drive=DRIVE, bears=(SignatureMatch(type="ext4"),)),),
    expect=(Bears(on=PoolDevice(), type="ext4", uuid="x"),),
    effect="pivot",
)


def opened(operation: str = "op-1", number: int = 0) -> Opened:
    return Opened(
        operation=operation,
        number=number,
        kind=OperationKind.CREATE,
        boot_id="boot",
        at="2026-11-23T14:00:00+00:00",
        plan=plan(FIRST, SECOND),
        subject={"entry": {"label": "ü\n"}},
    )


async def filled(journal: Journal, *records: Record) -> JournalEntry:
    entry = await journal.open(opened())
    for record in records:
        await entry.append(record)
    return entry


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    found = Journal(OwnDirectory(tmp_path / "journal"))
    assert found.load() == ()
    return found


@pytest.mark.parametrize(
    "word", ["create", "mount", "unmount", "delete", "add", "import", "kill", "repair"]
)
def test_kinds_are_plain_words_on_disk(word: str) -> None:
    written = {**opened().model_dump(mode="json"), "kind": word}
    read = Opened.model_validate_json(json.dumps(written))
    assert read.kind is OperationKind(word)
    assert json.loads(read.model_dump_json()) == written
    assert len(OperationKind) == 8, "the words above are all there are"


async def test_every_record_comes_back_as_it_was(journal: Journal) -> None:
    records: list[Record] = [
        Begun(round=0, step="first", command="mkdir '\n'", disks={"A": 7}),
        Child(pid=5, start_time=9.0),
        Done(round=0, step="first"),
        Planned(plan=plan(SECOND)),
        Begun(round=1, step="second", command="mdadm"),
        Commit(entry={"a": [1]}, tombstone={"b": None}),
        Undoing(reason="why"),
        Undone(round=1, step="second"),
        Stuck(reason="held", drives={"A": "busy"}),
    ]
    await filled(journal, *records)
    (entry,) = journal.load()
    assert entry.records == [opened(number=1), *records]
    assert entry.plans == (plan(FIRST, SECOND), plan(SECOND)) and entry.plan == plan(SECOND)


async def test_a_journal_of_schema_1_is_read_by_its_former_names(
    journal: Journal, tmp_path: Path
) -> None:
    condition = Bears(on=PoolDevice(), type="ext4")
    step = FIRST.model_copy(update={"only_if": (condition,), "if_satisfied": "skip"})
    enclosing = {"enclosing": (SignatureMatch(type="gpt"),)}
    now = opened().model_copy(update={"plan": plan(step).model_copy(update=enclosing)})
    await journal.open(now)
    (path,) = (tmp_path / "journal").iterdir()
    text = path.read_text()
    for name, former in (
        ('"schema_version":2', '"schema_version":1'),
        ('"only_if"', '"when"'),
        ('"if_satisfied"', '"already"'),
        ('"enclosing"', '"around"'),
    ):
        assert name in text
        text = text.replace(name, former)
    path.write_text(text)
    (entry,) = journal.load()
    assert entry.plan == now.plan.model_copy(update={"schema_version": 1})


async def test_an_older_journal_of_a_creation_is_of_a_new_pool(
    journal: Journal, tmp_path: Path
) -> None:
    await journal.open(opened())
    (path,) = (tmp_path / "journal").iterdir()
    path.write_text(path.read_text().replace('"new_pool":true,', ""))
    (entry,) = journal.load()
    assert '"new_pool"' not in path.read_text() and entry.plan.new_pool
    assert not entry.plan.model_validate({**entry.plan.model_dump(), "new_pool": False}).new_pool


async def test_steps_that_began_are_told_in_order_without_the_undone(journal: Journal) -> None:
    entry = await filled(
        journal,
        Begun(round=0, step="first", command=""),
        Planned(plan=plan(SECOND)),
        Begun(round=1, step="second", command=""),
        Begun(round=1, step="second", command=""),
    )
    assert entry.begun() == ((0, FIRST), (1, SECOND)) and entry.began("pivot")
    await entry.append(Undone(round=1, step="second"))
    assert entry.begun() == ((0, FIRST),)


async def test_what_is_closed_is_gone(journal: Journal, tmp_path: Path) -> None:
    entry = await filled(journal)
    await entry.close()
    assert not list((tmp_path / "journal").iterdir())


async def test_a_closed_leftover_is_removed(journal: Journal, tmp_path: Path) -> None:
    await filled(journal)
    file = tmp_path / "journal" / "op-1.jsonl"
    file.write_bytes(file.read_bytes() + b'{"rec":"closed"}\n')
    assert journal.load() == () and not file.exists()


@pytest.mark.parametrize("torn", [b"{", b'{"rec":"done","round":0,"step":"first"}', b"\xff\x00"])
async def test_a_torn_last_line_never_happened(
    journal: Journal, tmp_path: Path, torn: bytes
) -> None:
    await filled(journal, Begun(round=0, step="first", command=""))
    file = tmp_path / "journal" / "op-1.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + torn)
    (entry,) = journal.load()
    assert len(entry.records) == 2
    assert file.read_bytes() == whole
    await entry.append(Undoing(reason="x"))
    assert [record.rec for record in journal.load()[0].records] == ["opened", "begun", "undoing"]


async def test_a_promise_that_was_cut_off_was_never_made(journal: Journal, tmp_path: Path) -> None:
    await filled(journal)
    file = tmp_path / "journal" / "op-1.jsonl"
    file.write_bytes(file.read_bytes()[:-5])
    assert journal.load() == () and not file.exists()


@pytest.mark.parametrize(
    "garbage", [b"garbage\n", b'{"rec":"closed"}\n', b'{"rec":"opened"}\n', b"\xff\n", b"[]\n"]
)
async def test_garbage_is_left_alone_and_reported_and_stops_nothing(
    journal: Journal, tmp_path: Path, garbage: bytes
) -> None:
    file = tmp_path / "journal" / "bad.jsonl"
    file.write_bytes(garbage)
    await filled(journal)
    assert [entry.opened.operation for entry in journal.load()] == ["op-1"]
    assert file.read_bytes() == garbage and list(journal.damaged) == ["bad.jsonl"]


async def test_a_record_that_does_not_fit_on_the_disk_spoils_nothing(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk takes half a line; the records of the roll-back must still be readable."""
    entry = await filled(journal, Begun(round=0, step="first", command=""))
    write = os.write

    def half(descriptor: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, bytes(data)[:15])

    with monkeypatch.context() as full:
        full.setattr(os, "write", half)
        with pytest.raises(OSError, match="No space"):
            await entry.append(Done(round=0, step="first"))
    await entry.append(Undoing(reason="full"))
    (again,) = journal.load()
    assert [record.rec for record in again.records] == ["opened", "begun", "undoing"]
    assert [record.rec for record in entry.records] == ["opened", "begun", "undoing"]


async def test_the_drives_of_a_damaged_file_are_in_doubt(tmp_path: Path) -> None:
    entry = await Journal(OwnDirectory(tmp_path)).open(opened())
    with (tmp_path / f"{entry.opened.operation}.jsonl").open("ab") as file:
        file.write(b'{"rec": "begun", "step": 7}\n')
    journal = Journal(OwnDirectory(tmp_path))
    assert journal.load() == ()
    serials = {drive.serial for drive in entry.opened.plan.drives}
    assert serials
    assert set(journal.doubtful) == serials


async def test_only_what_a_power_cut_may_take_is_not_synced(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = await filled(journal)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    entry.write(Done(round=0, step="first"), durable=False)
    assert not synced
    await entry.append(Undone(round=0, step="first"))
    assert synced
    assert [record.rec for record in entry.records][-2:] == ["done", "undone"]


async def test_the_order_of_entries_does_not_depend_on_the_clock(
    journal: Journal, tmp_path: Path
) -> None:
    late, early = opened("op-1"), opened("op-2").model_copy(update={"at": "2001-01-01T00:00:00"})
    await journal.open(late)
    await journal.open(early)
    again = Journal(OwnDirectory(tmp_path / "journal"))
    assert [e.opened.operation for e in sorted(again.load(), key=JournalEntry.order)] == [
        "op-1",
        "op-2",
    ]
    newest = await again.open(opened("op-3"))
    assert newest.opened.number == 3
