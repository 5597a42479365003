"""Intent to LVM commands. Pure; members are references, never kernel names.

Every command gets its devices by ``--devices``: LVM then neither reads nor writes a devices
file, ignores filters, and does not look at any other drive. A member that is left out counts
as missing, which is how a stale one is kept out of an activation: LVM would map it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from backy_core.sdk.levels import named
from backy_core.sdk.models import DriveId, PoolReport, PoolSpec
from backy_core.sdk.naming import pool_name
from backy_core.sdk.plan import Arg, DriveRef, Exec, Join
from backy_lvm.config import NO_SYSTEM_ID, activating, config
from backy_lvm.levels import LEVELS
from backy_lvm.naming import APART_TAG, GUID_TAG, VOLUME

FAILED = 5
"""LVM's exit status for a command that could not do all that it was asked to do."""


def make_member(drive: DriveId, uuid: str) -> Exec:
    return _lvm("pvcreate", (drive,), "--uuid", uuid, "--norestorefile", DriveRef(drive=drive))


class VolumeGroup(NamedTuple):
    """A pool's volume group, and the commands on it.

    ``members`` are those in good standing: no command but :meth:`deactivate` sees others.
    ``selector`` tells the group apart for commands that can select: LVM refuses a name that two
    groups have. ``slots``: how many members the volume has at most.
    """

    name: str
    volume: str
    selector: tuple[str, ...]
    members: tuple[DriveId, ...]
    slots: int

    @classmethod
    def new(cls, guid: str, drives: Sequence[DriveId]) -> VolumeGroup:
        """The group of a pool made here."""
        name = pool_name(guid)
        return cls(name, VOLUME, (name,), tuple(drives), len(drives))

    @classmethod
    def of(cls, pool: PoolSpec, report: PoolReport) -> VolumeGroup:
        """The group that the report shows."""
        members = tuple(m.drive for m in report.members if m.drive and m.in_place)
        slots = max(len(pool.drives), report.expected_members)
        if report.guid:
            return cls.new(report.guid, members)._replace(slots=slots)
        name, _, volume = (report.name or "").partition("/")
        return cls(name, volume, ("--select", f"vg_uuid={report.native_id}"), members, slots)

    def plus(self, drive: DriveId) -> VolumeGroup:
        """The group with one more member."""
        return self._replace(members=(*self.members, drive))

    def create(self, guid: str) -> Exec:
        """Autoactivation is off: udev would bring the pool up by itself, also half of it."""
        options = ("--setautoactivation", "n", "--addtag", GUID_TAG + guid)
        drives = (DriveRef(drive=drive) for drive in self.members)
        return _lvm("vgcreate", self.members, *options, self.name, *drives, settings=NO_SYSTEM_ID)

    def create_volume(self, level: str) -> Exec:
        """One volume over all the space. ``linear`` and ``striped`` need no dm-raid."""
        count = len(self.members)
        stripes = ("--stripes", f"{named(LEVELS, level).data_drives(count)}")
        shape = {
            "linear": ("linear",),
            "raid0": ("striped", *stripes),
            "raid1": ("raid1", "--mirrors", f"{count - 1}"),
            "raid10": ("raid10", "--mirrors", "1", *stripes),
        }.get(level, (level, *stripes))
        wiped = ("--wipesignatures", "y", "--zero", "y")
        words = ("--type", *shape, "--extents", "100%FREE", "--name", self.volume, self.name)
        return self._activating("lvcreate", *wiped, *words)

    def activate(self, mode: str) -> Exec:
        words = ("--activate", "y", "--activationmode", mode)
        return self._activating("vgchange", *words, *self.selector)

    def deactivate(self, connected: Sequence[DriveId], *also_ok: int) -> Exec:
        return _lvm("vgchange", connected, "--activate", "n", *self.selector, also_ok=also_ok)

    def remove_mappings(self) -> Exec:
        """Take down what device-mapper holds of a pool none of whose members is there: LVM, which
        keeps its metadata on them, no longer knows the volume."""
        parts, missing = self._parts(range(self.slots)), self._placeholders(range(self.slots))
        return _unmap("--retry", self._mapping, *parts, *missing)

    def remove_placeholders(self, slots: Iterable[int]) -> Exec:
        """Take down the mappings LVM put in place of missing members; it forgets them when the
        members are back. One may be absent, or still stand for a missing member."""
        return _unmap(*self._placeholders(slots))

    def mark_apart(self, missing: Iterable[str], *also_ok: int) -> Exec:
        """Write down, on the members that are here, which ones (PV UUIDs) are not. LVM then refuses
        them when they return; without that, dm-raid may take either half for the newer one."""
        tags = (word for uuid in missing for word in ("--addtag", APART_TAG + uuid))
        return _lvm("vgchange", self.members, *tags, *self.selector, also_ok=also_ok)

    def forget_apart(self, returned: str) -> Exec:
        tag = ("--deltag", APART_TAG + returned)
        return _lvm("vgchange", self.members, *tag, *self.selector)

    def extend(self, drive: DriveId) -> Exec:
        return _lvm("vgextend", self.members, self.name, DriveRef(drive=drive))

    def restore(self, drive: DriveId) -> Exec:
        """Let a member that returned count again. Fails if it was never marked missing."""
        words = ("--restoremissing", self.name, DriveRef(drive=drive))
        return _lvm("vgextend", self.members, *words, also_ok=(FAILED,))

    def refresh(self) -> Exec:
        """Map a returned member again; dm-raid copies what the bitmap names. LVM refuses it while
        others are missing, unless it may put placeholders in their place, where they are
        already."""
        return self._activating("lvchange", "--refresh", "--activationmode", "partial", self._path)

    def repair(self, drive: DriveId) -> Exec:
        return self._activating("lvconvert", "--repair", self._path, DriveRef(drive=drive))

    def replace(self, old: DriveId, drive: DriveId) -> Exec:
        words = ("--replace", DriveRef(drive=old), self._path, DriveRef(drive=drive))
        return self._activating("lvconvert", *words)

    def reduce(self, drive: DriveId) -> Exec:
        """Drop a member. Fails while others are missing that something lies on."""
        words = (self.name, DriveRef(drive=drive))
        return _lvm("vgreduce", self.members, *words, also_ok=(FAILED,))

    def reduce_missing(self) -> Exec:
        """Drop missing members that nothing lies on. Fails while others remain.

        What is left out of the members counts as missing: that is how a spare leaves a group which
        other members are missing from, where plain vgreduce refuses.
        """
        return _lvm("vgreduce", self.members, "--removemissing", self.name, also_ok=(FAILED,))

    @property
    def _path(self) -> str:
        return f"{self.name}/{self.volume}"

    @property
    def _mapping(self) -> str:
        """Device-mapper joins the names by a dash, and doubles those in them."""
        return "-".join(name.replace("-", "--") for name in (self.name, self.volume))

    def _parts(self, slots: Iterable[int]) -> list[str]:
        return [f"{self._mapping}_{part}_{slot}" for slot in slots for part in ("rimage", "rmeta")]

    def _placeholders(self, slots: Iterable[int]) -> list[str]:
        return [f"{part}-missing_0_0" for part in self._parts(slots)]

    def _activating(self, command: str, *words: Arg) -> Exec:
        return _lvm(command, self.members, *words, settings=activating(self.name))


def _lvm(
    command: str,
    devices: Iterable[DriveId],
    *words: Arg,
    settings: str = config(),
    also_ok: tuple[int, ...] = (),
) -> Exec:
    """``--yes`` answers every question LVM might ask."""
    nodes = Join(sep=",", parts=tuple(DriveRef(drive=drive) for drive in dict.fromkeys(devices)))
    argv = ("lvm", command, "--devices", nodes, "--config", settings, "--yes", *words)
    return Exec(argv=argv, ok_codes=(0, *also_ok))


def _unmap(*words: str) -> Exec:
    return Exec(argv=("dmsetup", "remove", *words), ok_codes=(0, 1))
