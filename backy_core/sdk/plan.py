"""A plan is data: what to run, what undoes it, what must be true afterwards.

Nothing here acts. Plans name things by identity; the executor resolves them to nodes each time
something is run, so a plan still means the same after drives were renumbered or power was cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from pydantic import Field

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

SCHEMA_VERSION = 1


class DriveRef(Model):
    """A member drive, resolved when the argument list is built."""

    ref: Literal["drive"] = "drive"
    drive: DriveId
    form: Literal["node", "by-id"] = "node"
    part: int | None = None


class PoolDevice(Model):
    """This pool's block device, looked up when something is run."""

    ref: Literal["pool-device"] = "pool-device"


class Join(Model):
    """Parts joined to one argument, as in ``UUID=…`` or ``a:b``."""

    ref: Literal["join"] = "join"
    sep: str
    parts: tuple[Arg, ...]


Reference = Annotated[DriveRef | PoolDevice | Join, Field(discriminator="ref")]
Arg = str | Reference
Target = Annotated[DriveRef | PoolDevice, Field(discriminator="ref")]


class PoolIs(Model):
    """The pool's presence is this, by the backend's fresh inspect."""

    cond: Literal["pool-is"] = "pool-is"
    presence: Presence
    degraded_ok: bool = True
    failed_ok: bool = True
    """False: its health is not ``failed`` either."""


class MemberIs(Model):
    """The drive is a member in one of these states; no states: it is no member at all."""

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
    """The filesystem with this UUID is what is mounted at ``path``; without one, the pool's own
    filesystem (``PoolReport.source``), with no effect for set-uid programs and device nodes."""

    cond: Literal["mounted-at"] = "mounted-at"
    path: str
    fs_uuid: str | None = None
    read_only: bool = False
    """It is mounted read-only as well."""


class NotMounted(Model):
    """Nothing is mounted at ``path``."""

    cond: Literal["not-mounted"] = "not-mounted"
    path: str


Condition = Annotated[
    PoolIs | MemberIs | Bears | Blank | Free | MountedAt | NotMounted,
    Field(discriminator="cond"),
]


class Exec(Model):
    """Run a program. The only action a backend may plan besides :class:`WipeMember`."""

    do: Literal["exec"] = "exec"
    argv: tuple[Arg, ...]
    ok_codes: tuple[int, ...] = (0,)
    final_words: tuple[str, ...] = ()
    """What the program prints where trying again gives the same refusal: a step that fails with
    one of these in its output is not retried."""


class WipeMember(Model):
    """Erase a drive, but only if every signature on it now is matched by one of ``bears``.

    Never under a holder. Already blank is done.
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
    """Without writing anything, so that the filesystem's journal is not replayed either."""


class Unmount(Model):
    """Unmount what is at ``path``; never lazily. Nothing mounted there is done."""

    do: Literal["unmount"] = "unmount"
    path: str


class MakeDir(Model):
    """Make the mount directory and the missing ones above it."""

    do: Literal["make-dir"] = "make-dir"
    path: str


class RemoveDir(Model):
    """Remove empty directories by rmdir alone; not empty or absent is done."""

    do: Literal["remove-dir"] = "remove-dir"
    paths: tuple[str, ...]


Action = Annotated[
    Exec | WipeMember | WipeSignatures | MakeFilesystem | Mount | Unmount | MakeDir | RemoveDir,
    Field(discriminator="do"),
]

Effect = Literal["none", "reversible", "destroys", "pivot"]
"""none: changes nothing lasting; reversible: ``undo`` takes it back; destroys: cannot be taken
back, or by ``undo`` only in part, and is consented to; pivot: from here an interrupted operation
goes forward."""


class Step(Model):
    """One action with its undo and its promised outcome. Times are seconds."""

    id: str
    title: str
    """Shown as progress: "Formatting ext4"."""
    run: Action
    undo: tuple[Action, ...] = ()
    undo_expect: tuple[Condition, ...] = ()
    when: tuple[Condition, ...] = ()
    """Skip the step unless this holds when its turn comes, and before each further attempt: for
    what an earlier step, or udev after it, may have made needless."""
    needs: tuple[Condition, ...] = ()
    """The operation fails unless this holds when its turn comes: for what would do harm if the
    machine is no longer as it was at admission."""
    expect: tuple[Condition, ...] = ()
    already: Literal["skip", "run"] = "run"
    """When ``expect`` holds beforehand: skip the step, or run regardless."""
    effect: Effect = "reversible"
    retry_s: float = 0
    """How long to repeat a failing action (transient EBUSY), with back-off."""
    expect_s: float = 10
    """How long to wait for ``expect``."""
    stable_s: float = 0
    """How long ``expect`` must stay true (udev re-assembles stopped arrays)."""
    soft_timeout_s: float = 60
    """After this the step is reported slow; it is not failed."""
    on_cancel: Literal["wait", "term"] = "wait"
    """``term`` only for programs that may be ended half-way, as mkfs."""
    device_lock: Literal["hold", "release"] = "hold"
    """Hold the drives' whole-disk locks meanwhile, or leave them to the program."""


class BackendPlan(Model):
    """What a plan hook answers. The core adds identity, drives and its own steps."""

    steps: tuple[Step, ...]
    goal: tuple[Condition, ...] = ()
    """True when the whole plan has reached its end."""
    stamps: tuple[SignatureMatch, ...] = ()
    """How this pool's members are recognised by a low-level probe, without the backend:
    a crash recovery wipes a drive only if all its signatures match one of these."""
    around: tuple[SignatureMatch, ...] = ()
    """What may lie around a stamp on a member, as the partition table of a whole-disk zpool:
    erased together with it, and never a reason to wipe."""
    delivers: Delivers = "block"
    """``filesystem``: plans to create and to open end with it mounted at ``pool.mount_path``,
    whose directory the core has made."""
    requires: tuple[Requirement, ...] = ()
    """Of a creation: what its pool will need to be opened that the oldest supported system lacks,
    in spite of ``pool.portability``. The core leaves out a feature that needs a newer kernel than
    the running one, which cannot write it."""


PlanKind = Literal["create", "open", "close", "teardown", "add"]


class Plan(Model):
    """A whole plan as it is journalled and run."""

    schema_version: int = SCHEMA_VERSION
    kind: PlanKind
    backend: str
    plugin_version: str
    pool: PoolSpec
    drives: tuple[DriveId, ...]
    """The drives this plan may touch, and no others."""
    delivers: Delivers = "block"
    stamps: tuple[SignatureMatch, ...] = ()
    around: tuple[SignatureMatch, ...] = ()
    steps: tuple[Step, ...]
    goal: tuple[Condition, ...] = ()


def references(arg: Arg) -> Iterator[DriveRef | PoolDevice]:
    """The drive and pool references inside an argument."""
    if isinstance(arg, Join):
        for part in arg.parts:
            yield from references(part)
    elif not isinstance(arg, str):
        yield arg


def drives_of_step(step: Step) -> Iterator[DriveId]:
    """Every drive a step names: to act on, to undo, to judge by."""
    for action in (step.run, *step.undo):
        yield from _drives_of_action(action)
    yield from drives_of_conditions((*step.when, *step.needs, *step.expect, *step.undo_expect))


def _drives_of_action(action: Action) -> Iterator[DriveId]:
    if isinstance(action, WipeMember):
        yield action.drive
    if isinstance(action, Exec):
        found = (reference for arg in action.argv for reference in references(arg))
        yield from (reference.drive for reference in found if isinstance(reference, DriveRef))


def drives_of_conditions(conditions: Iterable[Condition]) -> Iterator[DriveId]:
    """The drives that conditions are about."""
    for condition in conditions:
        if isinstance(condition, MemberIs):
            yield condition.drive
        if isinstance(condition, Bears | Blank | Free) and isinstance(condition.on, DriveRef):
            yield condition.on.drive


Join.model_rebuild()
