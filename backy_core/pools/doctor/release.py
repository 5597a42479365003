"""Giving a quarantined drive free again, once it is blank."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from backy_core.machine import inventory
from backy_core.machine.inventory import Drive
from backy_core.machine.snapshot import Snapshot
from backy_core.operations.claims import Claim
from backy_core.operations.journal import JournalEntry, Stuck
from backy_core.operations.records import Operation
from backy_core.pools.admission import guards
from backy_core.pools.core import Core, compose
from backy_core.pools.doctor.repair import RepairStep, own_step, steps_of
from backy_core.pools.lifecycle import steps
from backy_core.sdk.errors import DriveNotEmpty, NotFound
from backy_core.sdk.plan import Plan


def quarantining(core: Core, serial: str) -> tuple[tuple[JournalEntry, Stuck], ...]:
    """The unsettled entries on whose account a drive is quarantined."""
    stuck = ((entry, entry.stuck) for entry in core.pending.values() if entry.commit is None)
    return tuple((entry, why) for entry, why in stuck if why is not None and serial in why.drives)


@dataclass(frozen=True)
class ReleaseDrive:
    """Wipe a quarantined drive if it is not blank, and end its quarantine."""

    serial: str
    guid = None

    @property
    def claims(self) -> tuple[Claim, ...]:
        return (Claim("drive", self.serial),)

    async def plan(self, core: Core, op: Operation | None) -> tuple[RepairStep, ...]:
        core.observer.forget_signatures(guards.nodes_of(core, (self.serial,)))
        snapshot = await core.observer.refresh()
        entries = quarantining(core, self.serial)
        if not entries:
            raise NotFound(f"Drive {self.serial} is not quarantined any more")
        drive = inventory.find(snapshot.drives, self.serial)
        refusal = guards.unavailable(
            core,
            drive,
            snapshot,
            pools=guards.known_pools(core),
            operation=op.id if op else None,
            consent=True,
            releasing=frozenset(entry.plan.pool.guid for entry, _ in entries),
        )
        if refusal is not None:
            raise refusal
        await guards.refuse_writers(core, (drive,))
        wiping: tuple[RepairStep, ...] = ()
        if bears := snapshot.signatures_of(drive):
            wiping = await steps_of(core, _wipe(core, drive, snapshot, entries[0][0].plan))
        freed = own_step(
            f"Ending the quarantine of drive {self.serial}",
            f"# drive {self.serial} proved blank" if bears else f"# drive {self.serial} is blank",
            partial(_release, core, drive),
        )
        return (*wiping, freed)


def _wipe(core: Core, drive: Drive, snapshot: Snapshot, interrupted: Plan) -> Plan:
    """Names what is erased: the drive as it is labelled, and what is on it."""
    bears = snapshot.signatures_of(drive)
    matches = tuple(dict.fromkeys(signature.as_match() for signature in bears))
    content = ", ".join(dict.fromkeys(map(str, bears)))
    model = drive.device.model or "unknown model"
    name = f"{drive.id.serial} ({model}, {drive.id.size} bytes)"
    title = f"Wiping drive {name}, which holds {content}"
    step = steps.wipe_content(drive.id, matches).model_copy(update={"title": title})
    return compose(
        "repair",
        core,
        interrupted.pool,
        interrupted.backend,
        steps=(step,),
        drives=(drive.id,),
    )


async def _release(core: Core, drive: Drive) -> None:
    """Raises :class:`DriveNotEmpty` if it is not blank after all."""
    serial = drive.id.serial
    if bears := await core.machine.signatures.probe_drive(drive.name):
        raise DriveNotEmpty(f"Drive {serial} stays quarantined: it holds {bears[0]}")
    for entry, stuck in quarantining(core, serial):
        others = {name: why for name, why in stuck.drives.items() if name != serial}
        await core.keep(entry, stuck.reason, others, holds_data=stuck.holds_data)
