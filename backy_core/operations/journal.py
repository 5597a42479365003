"""The write-ahead journal: one file per operation, one JSON record per line.

An entry is opened before anything is promised and closed after everything is settled; what is
in the directory at start is exactly what was interrupted. What announces anything is fsynced first,
so a torn last line, which a power cut leaves, is ignored: its action never began. Records that only
look back (a child was started, a step is done, the entry is closed) reach the disk with the next.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from backy_core.operations.kinds import OperationKind
from backy_core.sdk.errors import SystemFailure
from backy_core.sdk.models import Model
from backy_core.sdk.plan import Effect, Plan, Step
from backy_core.system.own_files import OwnDirectory, OwnFile

log = logging.getLogger(__name__)
_SUFFIX = ".jsonl"
_THREAD = "journal"


class Opened(Model):
    """The promise: this plan, decided on this boot."""

    rec: Literal["opened"] = "opened"
    operation: str
    kind: OperationKind
    boot_id: str
    at: str
    plan: Plan
    number: int = 0
    """Counts up from entry to entry, whatever the clock does."""
    subject: dict[str, Any] = Field(default_factory=dict)
    """What the use case needs to carry on after a restart (the metadata entry to commit…)."""


class Planned(Model):
    """A later round of the same operation, planned from a fresh inspection."""

    rec: Literal["planned"] = "planned"
    plan: Plan


class Begun(Model):
    """A step is about to run. ``round`` numbers the plans of this entry from 0."""

    rec: Literal["begun"] = "begun"
    round: int
    step: str
    command: str
    disks: dict[str, int] = Field(default_factory=dict)
    """Each drive's disk sequence number at this moment."""


class Child(Model):
    """A program was started for the step begun last."""

    rec: Literal["child"] = "child"
    pid: int
    start_time: float


class Done(Model):
    """The step reached its promised outcome."""

    rec: Literal["done"] = "done"
    round: int
    step: str


class Commit(Model):
    """The operation counts as done. Recovery repeats what follows from it."""

    rec: Literal["commit"] = "commit"
    entry: dict[str, Any] | None = None
    tombstone: dict[str, Any] | None = None


class Undoing(Model):
    rec: Literal["undoing"] = "undoing"
    reason: str


class Undone(Model):
    rec: Literal["undone"] = "undone"
    round: int
    step: str


class Stuck(Model):
    """Roll-back or completion failed; the next start tries again."""

    rec: Literal["stuck"] = "stuck"
    reason: str
    drives: dict[str, str] = Field(default_factory=dict)
    """Serial and what is wrong with it."""
    holds_data: bool = False
    """The pool was not undone because it holds what its creation did not make."""


class Closed(Model):
    rec: Literal["closed"] = "closed"


Record = Annotated[
    Opened | Planned | Begun | Child | Done | Commit | Undoing | Undone | Stuck | Closed,
    Field(discriminator="rec"),
]
_RECORD: TypeAdapter[Record] = TypeAdapter(Record, config=ConfigDict(defer_build=True))


def read_record(line: bytes) -> Record:
    """One line of a journal file. Raises :class:`pydantic.ValidationError`."""
    return _RECORD.validate_json(line)


class JournalEntry:
    """One operation's records, on disk and in memory."""

    def __init__(
        self, file: OwnFile, records: list[Record], *, is_of_earlier_run: bool = False
    ) -> None:
        self.file = file
        self.records = records
        self.is_of_earlier_run = is_of_earlier_run
        """Read at start: whatever happened since it was written is not in it."""

    @property
    def opened(self) -> Opened:
        first = self.records[0]
        assert isinstance(first, Opened)
        return first

    def order(self) -> tuple[int, str]:
        """Sorts entries from the oldest to the newest."""
        return self.opened.number, self.opened.at

    @property
    def plans(self) -> tuple[Plan, ...]:
        later = [record.plan for record in self.records if isinstance(record, Planned)]
        return (self.opened.plan, *later)

    @property
    def plan(self) -> Plan:
        return self.plans[-1]

    @property
    def commit(self) -> Commit | None:
        return next((r for r in self.records if isinstance(r, Commit)), None)

    @property
    def stuck(self) -> Stuck | None:
        return next((r for r in reversed(self.records) if isinstance(r, Stuck)), None)

    @property
    def undoing(self) -> bool:
        """Whether a roll-back began."""
        return any(isinstance(record, Undoing) for record in self.records)

    @property
    def closed(self) -> bool:
        return isinstance(self.records[-1], Closed)

    @property
    def children(self) -> tuple[Child, ...]:
        return tuple(r for r in self.records if isinstance(r, Child))

    def begun(self) -> tuple[tuple[int, Step], ...]:
        """Steps that began and were not rolled back, in the order they began."""
        undone = {(r.round, r.step) for r in self.records if isinstance(r, Undone)}
        marks = [(r.round, r.step) for r in self.records if isinstance(r, Begun)]
        return tuple(
            (number, self._step(number, step))
            for number, step in dict.fromkeys(marks)
            if (number, step) not in undone
        )

    def ever_begun(self) -> tuple[Step, ...]:
        """Steps that began, including those rolled back since, in the order they began."""
        marks = [(r.round, r.step) for r in self.records if isinstance(r, Begun)]
        return tuple(self._step(number, step) for number, step in dict.fromkeys(marks))

    @property
    def touched(self) -> bool:
        """Whether any step ever began, including those rolled back since."""
        return any(isinstance(record, Begun) for record in self.records)

    def began(self, effect: Effect) -> bool:
        """Whether a step with this effect began. From a pivot on, the operation goes forward."""
        return any(step.effect == effect for _, step in self.begun())

    def done(self) -> tuple[Step, ...]:
        """Steps whose outcome was seen. A power cut may take the record of the last."""
        marks = [(r.round, r.step) for r in self.records if isinstance(r, Done)]
        return tuple(self._step(number, step) for number, step in marks)

    def _step(self, number: int, step_id: str) -> Step:
        return next(step for step in self.plans[number].steps if step.id == step_id)

    async def append(self, record: Record) -> None:
        """Durable when this returns."""
        await self.file.to_the_end(partial(self.write, record), _THREAD)

    def write(self, record: Record, *, durable: bool = True) -> None:
        """Not ``durable``: a power cut may take it, unless a later record is durable."""
        line = _RECORD.dump_json(record) + b"\n"
        self.file.append(line, durable=durable)
        self.records.append(record)

    async def close(self) -> None:
        """Settled: nothing to recover. Removing the file needs no room on a full disk."""
        await self.file.to_the_end(self._close, _THREAD)

    def _close(self) -> None:
        with suppress(OSError):
            self.write(Closed(), durable=False)
        self.remove()

    def remove(self) -> None:
        self.file.remove()
        self.file.directory.sync()


class Journal:
    """The directory of entries."""

    SET_ASIDE: ClassVar[str] = ".set-aside"
    """What the name of a damaged file gets, so that no start reads it again."""

    def __init__(self, directory: OwnDirectory) -> None:
        self._directory = directory
        self.damaged: dict[str, str] = {}
        """Files that do not read as a journal, with the reason; they are left alone."""
        self.doubtful: dict[str, str] = {}
        """Drives that such a file names, as far as it reads: serial and reason."""
        self._last = 0

    async def open(self, opened: Opened) -> JournalEntry:
        """Write the promise durably, the directory's entry included.

        Raises :class:`SystemFailure`; the next start then finds nothing of it.
        """
        self._last += 1
        opened = opened.model_copy(update={"number": self._last})
        entry = JournalEntry(self._directory.file(opened.operation + _SUFFIX), [])
        try:
            await entry.append(opened)
            await self._directory.to_the_end(self._directory.sync, _THREAD)
        except OSError as error:
            with suppress(OSError):  # a refused request must not be carried out after a restart
                await self._directory.to_the_end(entry.remove, _THREAD)
            raise SystemFailure(
                "The journal cannot be written, so nothing was changed",
                details=str(error),
                hint=f"Check the disk of {self._directory.path}",
            ) from error
        return entry

    async def set_aside(self, name: str) -> str:
        """Keep a damaged file under another name, which no start reads; the drives that it names
        are no longer quarantined. Returns the new name."""
        aside = name + self.SET_ASIDE
        file = self._directory.file(name)

        def rename() -> None:
            file.rename(aside)
            self._directory.sync()

        await self._directory.to_the_end(rename, _THREAD)
        self.damaged.pop(name, None)
        for serial in self.doubtful_because_of(name):
            del self.doubtful[serial]
        return aside

    def doubtful_because_of(self, name: str) -> tuple[str, ...]:
        """Serials of the drives that a damaged file names."""
        sentence = _doubt(name)
        return tuple(serial for serial, reason in self.doubtful.items() if reason == sentence)

    def load(self) -> tuple[JournalEntry, ...]:
        """Every entry that is not closed; closed leftovers are removed."""
        self._directory.make()
        names = (name for name in self._directory.names() if name.endswith(_SUFFIX))
        entries = [self._read(self._directory.file(name)) for name in names]
        readable = [entry for entry in entries if entry is not None]
        self._last = max((entry.opened.number for entry in readable), default=0)
        for entry in readable:
            if entry.closed:
                entry.remove()
        return tuple(entry for entry in readable if not entry.closed)

    def _read(self, file: OwnFile) -> JournalEntry | None:
        lines = (file.read() or b"").split(b"\n")
        torn = lines.pop()
        try:
            records = [read_record(line) for line in lines]
        except ValidationError as error:
            self._damaged(file, f"{error.error_count()} unreadable fields", lines[0])
            return None
        if torn:
            file.cut_off(len(torn))
        if not records:  # cut off before the promise was made
            file.remove()
            return None
        if not isinstance(records[0], Opened):
            self._damaged(file, "it does not begin with an opened record", b"")
            return None
        return JournalEntry(file, records, is_of_earlier_run=True)

    def _damaged(self, file: OwnFile, reason: str, first: bytes) -> None:
        self.damaged[file.name] = reason
        log.error("Journal file %s cannot be read and is left as it is: %s", file.path, reason)
        try:
            opened = Opened.model_validate_json(first)
        except ValidationError:
            return
        sentence = _doubt(file.name)
        self.doubtful.update({drive.serial: sentence for drive in opened.plan.drives})


def _doubt(name: str) -> str:
    return f"its journal file {name} is damaged; check the drive, then set the file aside"
