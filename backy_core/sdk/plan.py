"""A plan as data: commands to run, how to roll each back, and the outcome each must have.

This module runs nothing. Plans name drives and pools by identity. The executor resolves them to
device nodes before each run, so a plan keeps its meaning when drives are renumbered or after a
power cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from pydantic import AliasChoices, Field

from backy_core.sdk.models import (
    Delivers,
    DriveId,
    MemberState,
    Model,
    PoolSpec,
    Portability,
    Presence,
    Requirement,
    SignatureMatch,
)

SCHEMA_VERSION = 2
"""Journals of version 1 are read as well: it called ``only_if`` ``when``, ``if_satisfied``
``already`` and ``enclosing`` ``around``."""


class DriveRef(Model):
    """A member drive, resolved when the argument list is built."""

    ref: Literal["drive"] = "drive"
    drive: DriveId
    form: Literal["node", "by-id"] = "node"
    part: int | None = None


class PoolDevice(Model):
    """This pool's block device, resolved before each run."""

    ref: Literal["pool-device"] = "pool-device"
    layer: int | None = None
    """Which device of a stack: 0 for the container's own, n for the n-th layer's. None: the one
    with the content, which is the last; in a backend's plan, the container's own."""


class Join(Model):
    """Parts joined to one argument, as in ``UUID=…`` or ``a:b``."""

    ref: Literal["join"] = "join"
    sep: str
    parts: tuple[Arg, ...]


Reference = Annotated[DriveRef | PoolDevice | Join, Field(discriminator="ref")]
Arg = str | Reference
Target = Annotated[DriveRef | PoolDevice, Field(discriminator="ref")]


class PoolIs(Model):
    """A fresh inspect reports this presence."""

    cond: Literal["pool-is"] = "pool-is"
    presence: Presence
    degraded_ok: bool = True
    failed_ok: bool = True
    """False: its health must not be ``failed``."""
    container: bool = False
    """True: only its container must have this presence. The core sets it in a backend's plan for a
    pool with layers."""


class LayerIs(Model):
    """A fresh inspect reports this presence of a layer. ``absent`` counts as ``stopped``."""

    cond: Literal["layer-is"] = "layer-is"
    layer: int
    """Its number, from 1."""
    presence: Presence


class MemberIs(Model):
    """The drive is a member in one of these states. An empty tuple: it must not be a member."""

    cond: Literal["member-is"] = "member-is"
    drive: DriveId
    states: tuple[MemberState, ...]


class Bears(Model):
    """A low-level probe finds this signature."""

    cond: Literal["bears"] = "bears"
    on: Target
    type: str
    uuid: str | None = None


class Blank(Model):
    """A low-level probe finds no signature and no partition table."""

    cond: Literal["blank"] = "blank"
    on: Target


class Free(Model):
    """No holder, mount or swap; an exclusive open succeeds; no backend reports it a member."""

    cond: Literal["free"] = "free"
    on: DriveRef


class MountedAt(Model):
    """The filesystem with this UUID is mounted at ``path``. Without a UUID: the pool's own
    filesystem (``PoolReport.source``) is mounted there ``nosuid`` and ``nodev``."""

    cond: Literal["mounted-at"] = "mounted-at"
    path: str
    fs_uuid: str | None = None
    read_only: bool = False
    """True: it must also be mounted read-only."""


class NotMounted(Model):
    """Nothing is mounted at ``path``."""

    cond: Literal["not-mounted"] = "not-mounted"
    path: str


Condition = Annotated[
    PoolIs | LayerIs | MemberIs | Bears | Blank | Free | MountedAt | NotMounted,
    Field(discriminator="cond"),
]


class Exec(Model):
    """Run a program. The only action a backend may plan besides :class:`WipeMember`, and the only
    one of a layer."""

    do: Literal["exec"] = "exec"
    argv: tuple[Arg, ...]
    ok_codes: tuple[int, ...] = (0,)
    final_words: tuple[str, ...] = ()
    """Texts that mark a final refusal: a step whose failed output contains one is not retried."""


class WipeMember(Model):
    """Erase a drive if each signature on it matches one of ``bears``; otherwise refuse.

    Refuse a drive that is held. Idempotent: a blank drive needs nothing.
    """

    do: Literal["wipe-member"] = "wipe-member"
    drive: DriveId
    bears: tuple[SignatureMatch, ...]


class WipeSignatures(Model):
    """Erase every signature inside the pool's own block device (stale content, filesystem)."""

    do: Literal["wipe-signatures"] = "wipe-signatures"
    on: PoolDevice = PoolDevice()


class MakeFilesystem(Model):
    """Make a filesystem with a UUID chosen at plan time on the pool's block device."""

    do: Literal["make-filesystem"] = "make-filesystem"
    type: str
    uuid: str
    label: str
    portability: Portability = "native"


class Mount(Model):
    """Mount the pool's block device ``nosuid,nodev``."""

    do: Literal["mount"] = "mount"
    path: str
    filesystem: str
    fs_uuid: str
    read_only: bool = False
    """Write nothing, and do not replay the filesystem's journal."""


class Unmount(Model):
    """Unmount ``path``, never lazily. Idempotent."""

    do: Literal["unmount"] = "unmount"
    path: str


class MakeDir(Model):
    """Make the mount directory and the missing ones above it."""

    do: Literal["make-dir"] = "make-dir"
    path: str


class RemoveDir(Model):
    """Remove directories with rmdir. Skip those that are absent or not empty."""

    do: Literal["remove-dir"] = "remove-dir"
    paths: tuple[str, ...]


Action = Annotated[
    Exec | WipeMember | WipeSignatures | MakeFilesystem | Mount | Unmount | MakeDir | RemoveDir,
    Field(discriminator="do"),
]

Effect = Literal["none", "reversible", "destroys", "pivot"]
"""none: makes no lasting change. reversible: ``undo`` reverses it. destroys: ``undo`` reverses a
part of it at most, and the request consented. pivot: an interrupted operation goes forward from
here."""


class Step(Model):
    """One action, how to roll it back, and the outcome it promises. Times are seconds."""

    id: str
    title: str
    """Shown as progress: "Formatting ext4"."""
    run: Action
    undo: tuple[Action, ...] = ()
    undo_expect: tuple[Condition, ...] = ()
    only_if: tuple[Condition, ...] = Field((), validation_alias=AliasChoices("only_if", "when"))
    """Skip the step unless this holds when its turn comes and before each further attempt: for
    a step that an earlier step, or udev after it, may have made needless."""
    needs: tuple[Condition, ...] = ()
    """Fail the operation unless this holds when its turn comes: for a step that would do harm
    if the machine has changed since admission."""
    expect: tuple[Condition, ...] = ()
    if_satisfied: Literal["skip", "run"] = Field(
        "run", validation_alias=AliasChoices("if_satisfied", "already")
    )
    """Whether to skip the step or run it when ``expect`` already holds."""
    effect: Effect = "reversible"
    retry_s: float = 0
    """How long to repeat a failing action (transient EBUSY), with back-off."""
    expect_s: float = 10
    """How long to wait for ``expect``."""
    stable_s: float = 0
    """How long ``expect`` must stay true (udev re-assembles stopped arrays), at most: it is enough
    that udev has handled every event by then."""
    soft_timeout_s: float = 60
    """After this the step is reported slow; it is not failed."""
    on_cancel: Literal["wait", "term"] = "wait"
    """``term`` only for programs that may be ended half-way, such as mkfs."""
    device_lock: Literal["hold", "release"] = "hold"
    """Hold the drives' whole-disk locks while it runs, or leave them to the program."""


class BackendPlan(Model):
    """The result of a plan hook. The core adds identity, drives and its own steps."""

    steps: tuple[Step, ...]
    goal: tuple[Condition, ...] = ()
    """Conditions that hold once the whole plan has succeeded."""
    stamps: tuple[SignatureMatch, ...] = ()
    """How a low-level probe recognises this pool's members without the backend. Recovery after a
    crash wipes a drive only if each of its signatures matches one of these."""
    enclosing: tuple[SignatureMatch, ...] = ()
    """Signatures that may enclose a stamp on a member, such as the partition table of a
    whole-disk zpool. They are erased with the stamp and never justify a wipe by themselves."""
    delivers: Delivers = "block"
    """``filesystem``: plans to create and open end with it mounted at ``pool.mount_path``, in a
    directory that the core has made."""
    requires: tuple[Requirement, ...] = ()
    """For a creation: features that the oldest supported system lacks and the new pool will have
    in spite of ``pool.portability``. The core drops a feature that needs a newer kernel than the
    running one, because this kernel cannot write it."""


class LayerPlan(Model):
    """The result of a layer's plan hook: steps that open or close that one layer."""

    steps: tuple[Step, ...]


PlanKind = Literal["create", "open", "close", "teardown", "add"]


class Plan(Model):
    """A whole plan as it is journalled and run."""

    schema_version: int = SCHEMA_VERSION
    kind: str
    """The verb it is of: a ``PlanKind``, or one that came later."""
    backend: str
    plugin_version: str
    pool: PoolSpec
    drives: tuple[DriveId, ...]
    """The drives this plan may touch, and no others."""
    new_pool: bool = Field(default_factory=lambda data: data.get("kind") == "create")
    """Nothing of the pool was there before: what a roll-back finds of it on the drives is wiped.
    Journals that do not say so are of a time when only a creation was so."""
    new_members: tuple[DriveId, ...] = ()
    """Drives that become members. A program is refused one that holds foreign content."""
    delivers: Delivers = "block"
    stamps: tuple[SignatureMatch, ...] = ()
    enclosing: tuple[SignatureMatch, ...] = Field(
        (), validation_alias=AliasChoices("enclosing", "around")
    )
    steps: tuple[Step, ...]
    goal: tuple[Condition, ...] = ()

    @property
    def mounts_itself(self) -> bool:
        """Whether its own programs mount the pool, which they do by path."""
        return any(isinstance(condition, MountedAt) for condition in self.goal)


def references(arg: Arg) -> Iterator[DriveRef | PoolDevice]:
    """The drive and pool references inside an argument."""
    if isinstance(arg, Join):
        for part in arg.parts:
            yield from references(part)
    elif not isinstance(arg, str):
        yield arg


def drives_of_step(step: Step) -> Iterator[DriveId]:
    """Every drive that a step names in its actions and conditions."""
    for action in (step.run, *step.undo):
        yield from _drives_of_action(action)
    yield from drives_of_conditions((*step.only_if, *step.needs, *step.expect, *step.undo_expect))


def _drives_of_action(action: Action) -> Iterator[DriveId]:
    if isinstance(action, WipeMember):
        yield action.drive
    if isinstance(action, Exec):
        found = (reference for arg in action.argv for reference in references(arg))
        yield from (reference.drive for reference in found if isinstance(reference, DriveRef))


def drives_of_conditions(conditions: Iterable[Condition]) -> Iterator[DriveId]:
    """Drives named by conditions."""
    for condition in conditions:
        if isinstance(condition, MemberIs):
            yield condition.drive
        if isinstance(condition, Bears | Blank | Free) and isinstance(condition.on, DriveRef):
            yield condition.on.drive


Join.model_rebuild()
