"""The steps the core adds to a backend's plan: directories, wiping, filesystem, mount."""

from __future__ import annotations

from collections.abc import Iterable

from backy_core.plugins.layering import BUSY_RETRY_S
from backy_core.sdk import steps
from backy_core.sdk.models import Delivers, DriveId, Portability, SignatureMatch
from backy_core.sdk.plan import (
    BackendPlan,
    Bears,
    Blank,
    Condition,
    DriveRef,
    Free,
    MakeDir,
    MakeFilesystem,
    Mount,
    MountedAt,
    NotMounted,
    PoolDevice,
    RemoveDir,
    Step,
    Unmount,
    WipeMember,
    WipeSignatures,
)

_LONG_S = 600.0


def make_directory(path: str, missing: tuple[str, ...]) -> Step:
    """Make the mount directory; ``missing`` are the ones we make, deepest first."""
    return Step(
        id="make-directory",
        title="Making the mount directory",
        run=MakeDir(path=path),
        undo=(RemoveDir(paths=missing),),
    )


def remove_directories(paths: tuple[str, ...]) -> Step:
    return Step(
        id="remove-directory",
        title="Removing the mount directory",
        run=RemoveDir(paths=paths),
        effect="none",
    )


def wipe_content(drive: DriveId, bears: tuple[SignatureMatch, ...]) -> Step:
    """Erase the signatures that a drive had at admission, with the caller's consent."""
    return Step(
        id=f"wipe-{drive.serial}",
        title=f"Wiping drive {drive.serial}",
        run=WipeMember(drive=drive, bears=bears),
        expect=(Blank(on=DriveRef(drive=drive)),),
        effect="destroys",
        retry_s=BUSY_RETRY_S,
    )


def wipe_members(
    members: Iterable[tuple[DriveId, tuple[SignatureMatch, ...]]],
) -> tuple[Step, ...]:
    """Erase members of a released pool, each with its allowed signatures. ``needs`` guards
    against udev, which may bring the pool back meanwhile."""
    return tuple(
        Step(
            id=f"wipe-{drive.serial}",
            title=f"Wiping drive {drive.serial}",
            run=WipeMember(drive=drive, bears=bears),
            expect=(Blank(on=DriveRef(drive=drive)), Free(on=DriveRef(drive=drive))),
            effect="destroys",
            retry_s=30,
        )
        for drive, bears in members
    )


def make_filesystem(filesystem: str, uuid: str, label: str, portability: Portability) -> Step:
    return Step(
        id="make-filesystem",
        title=f"Formatting {filesystem}",
        run=MakeFilesystem(type=filesystem, uuid=uuid, label=label, portability=portability),
        undo=(WipeSignatures(),),
        expect=(Bears(on=PoolDevice(), type=filesystem, uuid=uuid),),
        soft_timeout_s=_LONG_S,
        on_cancel="term",
    )


def mount(path: str, filesystem: str, uuid: str, *, read_only: bool = False) -> Step:
    run = Mount(path=path, filesystem=filesystem, fs_uuid=uuid, read_only=read_only)
    return steps.mount(path, run, Unmount(path=path), fs_uuid=uuid, read_only=read_only)


def made(path: str, draft: BackendPlan) -> tuple[Condition, ...]:
    """Conditions at the end of every creation. Checking them also refreshes the snapshot, which
    makes detail, list and metadata agree."""
    ours = (steps.ACTIVE, *own_mount(path, draft.delivers))
    return tuple(dict.fromkeys((*draft.goal, *ours)))


def own_mount(path: str, delivers: Delivers, *, read_only: bool = False) -> tuple[Condition, ...]:
    """Conditions on a backend that delivers and mounts its own filesystem."""
    return (MountedAt(path=path, read_only=read_only),) if delivers == "filesystem" else ()


def unmount(path: str) -> Step:
    return Step(
        id=f"unmount-{path}",
        title=f"Unmounting {path}",
        run=Unmount(path=path),
        expect=(NotMounted(path=path),),
    )
