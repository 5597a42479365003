"""Steps and conditions that the plans of several backends share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from backy_core.sdk.models import DriveId, MemberState, PoolReport, Presence, SignatureMatch
from backy_core.sdk.plan import (
    Action,
    Blank,
    Condition,
    DriveRef,
    Exec,
    MemberIs,
    MountedAt,
    NotMounted,
    PoolIs,
    Step,
    WipeMember,
)

ACTIVE = PoolIs(presence="active")
STOPPED = PoolIs(presence="stopped")


def joined(drive: DriveId) -> MemberIs:
    """The goal of adding a drive: the pool uses it, or rebuilds on it."""
    return MemberIs(drive=drive, states=("rebuilding", "active"))


def blank(drives: Iterable[DriveId]) -> tuple[Condition, ...]:
    """The outcome of :func:`wipes`."""
    return tuple(Blank(on=DriveRef(drive=drive)) for drive in drives)


def wipes(drives: Iterable[DriveId], *bears: SignatureMatch) -> tuple[Action, ...]:
    """The roll-back of a creation: erase each drive that has these signatures and no others."""
    return tuple(WipeMember(drive=drive, bears=bears) for drive in drives)


def members(report: PoolReport, *states: MemberState) -> tuple[DriveRef, ...]:
    """The connected members in one of these states, each with the partition that it is on."""
    return tuple(
        DriveRef(drive=member.drive, part=member.part)
        for member in report.members
        if member.drive and member.state in states
    )


def mount(
    path: str,
    run: Action,
    undo: Action,
    *expect: Condition,
    fs_uuid: str | None = None,
    read_only: bool = False,
) -> Step:
    """The step that mounts a pool at ``path``, and is skipped if it is mounted there already.

    ``expect``: conditions that must hold besides. ``fs_uuid``: None for a backend that delivers the
    filesystem.
    """
    return Step(
        id="mount",
        title=f"Mounting at {path}{' read-only' if read_only else ''}",
        run=run,
        undo=(undo,),
        undo_expect=(NotMounted(path=path),),
        expect=(MountedAt(path=path, fs_uuid=fs_uuid, read_only=read_only), *expect),
        if_satisfied="skip",
    )


def pivot(
    step_id: str,
    title: str,
    run: Exec,
    *expect: Condition,
    if_satisfied: Literal["skip", "run"] = "run",
    retry_s: float = 0,
) -> Step:
    """A step of adding a drive that hands the drive over, or that follows one which did.

    An interrupted operation goes forward from here, so there is no roll-back.
    """
    return Step(
        id=step_id,
        title=title,
        run=run,
        expect=expect,
        if_satisfied=if_satisfied,
        effect="pivot",
        retry_s=retry_s,
    )


def release(
    step_id: str,
    title: str,
    run: Exec,
    *,
    presence: Presence = "stopped",
    stable_s: float = 0,
    if_satisfied: Literal["skip", "run"] = "skip",
) -> Step:
    """The step of a close or teardown that makes the kernel let go of the drives.

    It is repeated, because udev and monitors open the pool for moments at any time. An interrupted
    release goes forward.
    """
    return Step(
        id=step_id,
        title=title,
        run=run,
        expect=(PoolIs(presence=presence),),
        if_satisfied=if_satisfied,
        effect="none",
        retry_s=30,
        stable_s=stable_s,
    )


def wipe_rejected(
    drive: DriveId, only_if: MemberIs, *bears: SignatureMatch, retry_s: float
) -> Step:
    """The step that erases a returned member which the pool's own tools did not take back.

    ``only_if``: the state of a member that they left out. ``bears``: the signatures it may have.
    """
    return Step(
        id="wipe-member",
        title=f"Wiping the old state of {drive}",
        run=WipeMember(drive=drive, bears=bears),
        only_if=(only_if,),
        effect="destroys",
        retry_s=retry_s,
    )
