"""Everything that can refuse the teardown of a pool, looked at before anything is changed."""

from __future__ import annotations

from typing import NamedTuple

from backy_core.machine.inventory import Drive, names_of
from backy_core.machine.snapshot import Snapshot
from backy_core.operations import filesystems
from backy_core.pools.admission import sharing
from backy_core.pools.core import Core
from backy_core.pools.reading.members import Consent, Members
from backy_core.pools.reading.pool_mounts import filesystem_of
from backy_core.sdk.advice import Hint, Verb, advise
from backy_core.sdk.errors import (
    Conflict,
    DriveInUse,
    DriveNotEmpty,
    DriveProtected,
    InvalidRequest,
    SystemFailure,
)
from backy_core.sdk.models import DriveId, PoolReport, Signature, SignatureMatch
from backy_core.store.metadata import PoolEntry
from backy_core.system.machine import Devices
from backy_core.system.machine import Signatures as Probing


class Target(NamedTuple):
    """The pool to tear down, as last inspected. ``stamps`` tell its drives from others,
    ``enclosing`` are signatures that may enclose a stamp."""

    entry: PoolEntry
    report: PoolReport | None
    members: Members
    stamps: tuple[SignatureMatch, ...]
    enclosing: tuple[SignatureMatch, ...]
    snapshot: Snapshot

    @property
    def title(self) -> str:
        return self.entry.title

    def erasable_on(self, drive: DriveId) -> tuple[SignatureMatch, ...]:
        """Signatures that a drive of the pool may have and that are wiped."""
        shown = (signature.as_match() for signature in self.shown_on(drive))
        return (*self.stamps, *self.enclosing, *shown)

    def shown_on(self, drive: DriveId) -> tuple[Signature, ...]:
        """Signatures that show on a bare member and belong to the pool's content."""
        members = self.report.members if self.report else ()
        names = {
            member.device for member in members if member.drive == drive and member.content_shows
        }
        own = (*self.stamps, *self.enclosing)
        return tuple(
            signature
            for name in names
            for signature in self.snapshot.signatures.get(name or "", ())
            if not any(signature.matches(match) for match in own)
        )


async def refuse(core: Core, target: Target, consent: Consent) -> None:
    """Raise the first reason against tearing the pool down. Changes nothing."""
    refuse_blind(core, target.entry, target.snapshot)
    sharing.refuse_shared(core, target.entry, target.snapshot)
    for drive in target.members.own:
        _refuse_drive(core, target, drive)
    _refuse_unreported(core.machine.devices, target)
    await refuse_others(core, target, consent)
    for drive in target.members.own:
        await _refuse_held(core.machine.devices, target, drive)


def refuse_blind(core: Core, entry: PoolEntry, snapshot: Snapshot) -> None:
    """Nothing is torn down on the word of an earlier look."""
    if unseen := core.unseen_because(entry, snapshot):
        raise SystemFailure(
            unseen,
            hint=advise(
                "Forget the pool: ",
                Hint(Verb.FORGET, entry.guid),
                "; its drives can then be taken with wipe",
            ),
        )


def refuse_left_mounted(entry: PoolEntry, report: PoolReport | None, snapshot: Snapshot) -> None:
    """The kernel may have a pool that its backend does not see run."""
    filesystem = filesystem_of(entry, report, snapshot)
    if filesystem.mounts:
        raise Conflict(
            f"Pool {entry.title} is mounted at {filesystem.mounts[0].path}, but "
            f"backend {entry.backend} does not report it as running",
            hint=advise("Unmount it first: ", Hint(Verb.CLOSE, entry.guid)),
        )
    if report is None and filesystem.devices:
        raise Conflict(
            f"Device /dev/{filesystem.devices[0]} of pool {entry.title} is running, "
            f"but backend {entry.backend} does not report the pool",
            hint="Nothing was changed. Check the drives and the kernel log, then try again",
        )


def refuse_unknown_copies(target: Target, consent: Consent) -> None:
    """Consent that names no drive of the pool is a slip of the pen."""
    copies = {drive.id.serial for drive in target.members.copies}
    bearing = {drive.id.serial for drive in target.members.own} | copies
    for serial in sorted(consent.copies - bearing):
        clause = f"drive {', '.join(sorted(copies))} does" if copies else "only its own drives do"
        raise InvalidRequest(
            f"Drive {serial} does not carry the identity of pool {target.title}",
            hint=f"Leave it out of wipeCopies: of the connected drives, {clause}",
        )


def refuse_mixed(entry: PoolEntry, report: PoolReport, members: Members) -> None:
    """A running pool with a copy in the place of a member holds two owners' data."""
    copies = {drive.id for drive in members.copies}
    mixed = [
        member.drive for member in report.members if member.drive in copies and member.in_place
    ]
    if mixed and members.own and report.presence == "active":
        raise Conflict(
            f"Pool {entry.title} runs with drive {mixed[0]}, a copy of one of its members",
            hint="Unmount it, unplug the copy, and try again",
        )


def _refuse_drive(core: Core, target: Target, drive: Drive) -> None:
    """Reasons that lie in a drive that would be wiped."""
    serial = drive.id.serial
    if drive.system or drive.excluded:
        raise DriveProtected(f"Drive {serial} of this pool holds the running system or is excluded")
    if serial in core.protection.serials():
        raise DriveProtected(
            f"Drive {serial} of this pool is protected",
            hint=advise(Hint(Verb.UNPROTECT, serial), " lifts it"),
        )
    if drive.ambiguous:
        raise Conflict(
            f"More than one drive has the serial {serial}, so the members of pool "
            f"{target.title} cannot be distinguished",
            hint=advise(
                "Connect the drives so that each shows a serial of its own, or forget the pool: ",
                Hint(Verb.FORGET, target.entry.guid),
            ),
        )
    if drive.problem is not None:
        raise DriveInUse(
            f"Drive {serial} of this pool cannot be wiped: {drive.problem}",
            hint="Lift its write protection, or unplug it and delete the pool without it",
        )
    _refuse_shared(target, drive)


def _refuse_shared(target: Target, drive: Drive) -> None:
    """An adopted pool may be made of partitions: then its drives hold more than the pool, and
    would not be wiped in the end."""
    for signature in target.snapshot.signatures_of(drive):
        ours = target.entry.fs_uuid is not None and signature.uuid == target.entry.fs_uuid
        if not ours and not any(signature.matches(stamp) for stamp in target.erasable_on(drive.id)):
            raise DriveNotEmpty(
                f"Drive {drive.id} of this pool also holds {signature} on {signature.device}",
                hint=advise(
                    "Forget the pool: ",
                    Hint(Verb.FORGET, target.entry.guid),
                    ", and dismantle it by hand",
                ),
            )


def _refuse_unreported(devices: Devices, target: Target) -> None:
    """A remembered member that the kernel uses for something no backend reports may be the pool
    itself, in a state its backend does not understand."""
    if target.report is not None:
        return
    members_anywhere = {
        member.drive
        for its in target.snapshot.reports.values()
        for r in its
        for member in r.members
    }
    for drive in target.snapshot.drives:
        held = drive.id.serial in target.entry.drive_serials and drive.id not in members_anywhere
        if held and (holders := devices.holders(drive.name)):
            raise DriveInUse(
                f"Drive {drive.id} of pool {target.title} is held by {', '.join(holders)}, of "
                f"which backend {target.entry.backend} reports nothing",
                hint="Stop what holds it and try again",
            )


async def _refuse_held(devices: Devices, target: Target, drive: Drive) -> None:
    """Refuse a drive that is held by anything other than the pool's device, which releases it when
    it is stopped."""
    own = {member.device for member in target.report.members} if target.report else set()
    for part in drive.device.children:
        if part.type == "part" and part.name not in own and part.children:
            above = part.children[0]
            raise DriveInUse(
                f"Drive {drive.id} of this pool is also held by {above.path} ({above.type})",
                hint="Stop or deactivate what is built on it",
            )
    if _in_pool(target.report, drive.id) or _unread(target.snapshot, drive):
        return
    async with devices.exclusively(drive.node):
        pass


def _in_pool(report: PoolReport | None, drive: DriveId) -> bool:
    """Whether the kernel holds the drive for the pool."""
    if report is None or not report.assembled:
        return False
    if any(member.drive == drive and member.in_place for member in report.members):
        return True
    return bool(report.container.device)  # a failed member stays in the array until it is stopped


def _unread(snapshot: Snapshot, drive: Drive) -> bool:
    """A drive that gives errors is not wiped, and must not keep the others from it."""
    return not snapshot.unprobed.keys().isdisjoint(names_of(drive.device))


async def refuse_others(core: Core, target: Target, consent: Consent) -> None:
    """Refuse to destroy other content of the container that the request did not name."""
    others_found = dict.fromkeys(
        (*_reported_others(core, target), *await _inside(core.machine.signatures, target))
    )
    unnamed = [name for name in others_found if name not in consent.others]
    if unnamed:
        named = tuple(("destroy_others", name) for name in unnamed)
        raise DriveNotEmpty(
            f"Pool {target.title} holds more than its own filesystem: {', '.join(unnamed)}",
            hint=advise(
                "Move that elsewhere, or name it to destroy it with the pool: ",
                Hint(Verb.TEARDOWN, target.entry.guid, named),
            ),
        )


def _reported_others(core: Core, target: Target) -> tuple[str, ...]:
    """Other content that the backend reports now; for a closed pool with its own filesystem, that
    it reported last."""
    report, entry = target.report, target.entry
    if report is None:
        return ()
    own_filesystem = core.host.backends[entry.backend].info.delivers == "filesystem"
    return entry.others if own_filesystem and report.presence != "active" else report.others


async def _inside(probing: Probing, target: Target) -> tuple[str, ...]:
    """Content that the core finds on the pool's block device, beside the pool's filesystem."""
    report = target.report
    if report is None or report.presence != "active" or report.device is None:
        shown = [target.shown_on(drive.id) for drive in target.members.own]
        return tuple(str(signature) for its in shown for signature in _strange(target.entry, its))
    device = target.snapshot.device_named(report.device)
    children = device.children if device else ()
    # By number: the device itself may have another name when it runs again.
    parts = [
        f"partition {child.name.removeprefix(report.device).removeprefix('p')}"
        for child in children
        if child.type == "part"
    ]
    probed = await probing.probe_each([f"/dev/{report.device}"])
    device_signatures = probed.found.get(report.device, ())
    return (*parts, *map(str, _strange(target.entry, device_signatures)))


def _strange(entry: PoolEntry, shown: tuple[Signature, ...]) -> list[Signature]:
    """Signatures other than the pool's filesystem. In a pool that was never opened, a single
    filesystem counts as its own."""
    if entry.fs_uuid is not None:
        return [signature for signature in shown if signature.uuid != entry.fs_uuid]
    alone = len(shown) == 1 and filesystems.is_known(shown[0].type)
    return [] if alone else list(shown)
