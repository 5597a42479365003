"""Intent to LVM argument lists. Pure; members are references, never kernel names.

Every command gets its devices by ``--devices``: LVM then neither reads nor writes a devices
file, ignores filters, and does not look at any other drive. A member that is left out counts
as missing, which is how a stale one is kept out of an activation: LVM would map it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence

from backy_core.sdk.models import DriveId
from backy_core.sdk.naming import pool_name
from backy_core.sdk.plan import Arg, DriveRef, Join
from backy_lvm.config import config, report_config
from backy_lvm.levels import data_drives

VOLUME = "pool"
"""The one logical volume of a pool made here."""
GUID_TAG = "backy="
APART_TAG = "backy-without="
"""With a member's PV UUID: what this metadata is from was used while that member was missing."""
REPORT = ("lvm", "fullreport")
_REMOVE = ("dmsetup", "remove")

_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_GROUPS = (6, 4, 4, 4, 4, 4, 6)

_COLUMNS = {
    "vg": "vg_uuid,vg_name,vg_tags,vg_exported,vg_extent_size",
    "pv": "pv_uuid,pv_name,pv_missing,pv_in_use,pe_start",
    "lv": "lv_uuid,lv_name,lv_attr,lv_active,lv_kernel_minor,sync_percent,raid_sync_action,"
    "lv_health_status,lv_image_synced",
    "pvseg": "pv_uuid,lv_uuid,pvseg_size",
    "seg": "lv_uuid,segtype",
}


def pv_uuid(guid: str, drive: DriveId, attempt: int = 0) -> str:
    """The UUID a drive gets as a member, in LVM's own form: known before the drive is touched.

    ``attempt`` counts up when the pool remembers a member of that UUID already: LVM would take
    the blank drive for that member.
    """
    text = f"{guid}\n{drive.serial}\n{attempt}"
    number = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    letters = ""
    for _ in range(sum(_GROUPS)):
        number, rest = divmod(number, len(_LETTERS))
        letters += _LETTERS[rest]
    starts = [sum(_GROUPS[:at]) for at in range(len(_GROUPS))]
    return "-".join(letters[at : at + size] for at, size in zip(starts, _GROUPS, strict=True))


def report(nodes: Sequence[str]) -> tuple[str, ...]:
    """Everything LVM knows of these nodes, hidden volumes included, as JSON in one process."""
    columns = [word for name in _COLUMNS for word in ("--configreport", name, "-o", _COLUMNS[name])]
    devices = ("--devices", ",".join(nodes), "--config", report_config())
    form = ("--reportformat", "json", "--units", "b", "--nosuffix")
    return (*REPORT, *devices, "--all", *form, *columns)


def create_member(drive: DriveId, uuid: str) -> tuple[Arg, ...]:
    words = ("--uuid", uuid, "--norestorefile", DriveRef(drive=drive))
    return _lvm("pvcreate", (drive,), *words)


def create_group(guid: str, drives: Sequence[DriveId]) -> tuple[Arg, ...]:
    """Autoactivation is off: udev would bring the pool up by itself, also half of it."""
    return _lvm(
        "vgcreate",
        drives,
        *("--setautoactivation", "n", "--addtag", GUID_TAG + guid, pool_name(guid)),
        *(DriveRef(drive=drive) for drive in drives),
        settings=config(no_system_id=True),
    )


def create_volume(guid: str, level: str, drives: Sequence[DriveId]) -> tuple[Arg, ...]:
    """One volume over all the space. ``linear`` and ``striped`` need no dm-raid."""
    stripes = ("--stripes", f"{data_drives(level, len(drives))}")
    shape = {
        "linear": ("linear",),
        "raid0": ("striped", *stripes),
        "raid1": ("raid1", "--mirrors", f"{len(drives) - 1}"),
        "raid10": ("raid10", "--mirrors", "1", *stripes),
    }.get(level, (level, *stripes))
    wiped = ("--wipesignatures", "y", "--zero", "y")
    words = ("--type", *shape, "--extents", "100%FREE", "--name", VOLUME, pool_name(guid))
    return _lvm("lvcreate", drives, *wiped, *words, settings=config(pool_name(guid)))


def activate(
    group: Sequence[str], members: Sequence[DriveId], mode: str, name: str
) -> tuple[Arg, ...]:
    """``group``: its name, or ``--select`` and what selects it by UUID."""
    words = ("--activate", "y", "--activationmode", mode, *group)
    return _lvm("vgchange", members, *words, settings=config(name))


def deactivate(group: Sequence[str], members: Sequence[DriveId]) -> tuple[Arg, ...]:
    return _lvm("vgchange", members, "--activate", "n", *group)


def remove_mappings(group: str, volume: str, slots: int) -> tuple[Arg, ...]:
    """Take down what device-mapper holds of a pool none of whose members is there: LVM, which
    keeps its metadata on them, no longer knows the volume."""
    base = _mapped(group, volume)
    parts = [f"{base}_{part}_{slot}" for slot in range(slots) for part in ("rimage", "rmeta")]
    return (*_REMOVE, "--retry", base, *parts, *_placeholders(base, range(slots)))


def remove_placeholders(group: str, volume: str, slots: Iterable[int]) -> tuple[Arg, ...]:
    """Take down the mappings LVM put in place of missing members; it forgets them when the
    members are back."""
    return (*_REMOVE, *_placeholders(_mapped(group, volume), slots))


def mark_apart(
    group: Sequence[str], members: Sequence[DriveId], missing: Collection[str]
) -> tuple[Arg, ...]:
    """Write down, on the members that are here, which ones (PV UUIDs) are not. LVM then refuses
    them when they return; without that, dm-raid may take either half for the newer one."""
    tags = [word for uuid in missing for word in ("--addtag", APART_TAG + uuid)]
    return _lvm("vgchange", members, *tags, *group)


def forget_apart(
    group: Sequence[str], members: Sequence[DriveId], missing: Collection[str]
) -> tuple[Arg, ...]:
    tags = [word for uuid in missing for word in ("--deltag", APART_TAG + uuid)]
    return _lvm("vgchange", members, *tags, *group)


def extend(group: str, members: Sequence[DriveId], drive: DriveId) -> tuple[Arg, ...]:
    return _lvm("vgextend", (*members, drive), group, DriveRef(drive=drive))


def restore(group: str, members: Sequence[DriveId], drive: DriveId) -> tuple[Arg, ...]:
    """Let a member that returned count again. Fails with 5 if it was never marked missing."""
    words = ("--restoremissing", group, DriveRef(drive=drive))
    return _lvm("vgextend", (*members, drive), *words)


def refresh(volume: str, members: Sequence[DriveId]) -> tuple[Arg, ...]:
    """Map the returned member again; dm-raid copies what the bitmap names. LVM refuses it while
    others are missing, unless it may put placeholders in their place, where they are already."""
    words = ("--refresh", "--activationmode", "partial", volume)
    return _lvm("lvchange", members, *words, settings=_config_for(volume))


def repair(volume: str, members: Sequence[DriveId], drive: DriveId) -> tuple[Arg, ...]:
    words = ("--repair", volume, DriveRef(drive=drive))
    return _lvm("lvconvert", (*members, drive), *words, settings=_config_for(volume))


def replace(
    volume: str, members: Sequence[DriveId], old: DriveId, drive: DriveId
) -> tuple[Arg, ...]:
    words = ("--replace", DriveRef(drive=old), volume, DriveRef(drive=drive))
    return _lvm("lvconvert", (*members, drive), *words, settings=_config_for(volume))


def reduce(group: str, members: Sequence[DriveId], drive: DriveId) -> tuple[Arg, ...]:
    return _lvm("vgreduce", members, group, DriveRef(drive=drive))


def reduce_missing(group: str, members: Sequence[DriveId]) -> tuple[Arg, ...]:
    """Drop missing members that nothing lies on. Exits with 5 while others remain.

    What is left out of ``members`` counts as missing: that is how a spare leaves a group which
    other members are missing from, where plain vgreduce refuses.
    """
    return _lvm("vgreduce", members, "--removemissing", group)


def _lvm(
    command: str, drives: Sequence[DriveId], *words: Arg, settings: str = ""
) -> tuple[Arg, ...]:
    """``--yes`` answers every question LVM might ask."""
    nodes = Join(sep=",", parts=tuple(DriveRef(drive=drive) for drive in dict.fromkeys(drives)))
    return ("lvm", command, "--devices", nodes, "--config", settings or config(), "--yes", *words)


def _config_for(volume: str) -> str:
    """Settings of a command that maps parts of this volume (``group/volume``) anew."""
    return config(volume.partition("/")[0])


def _mapped(group: str, volume: str) -> str:
    """Name of the mapping: device-mapper joins by a dash, and doubles those in the names."""
    return f"{group.replace('-', '--')}-{volume.replace('-', '--')}"


def _placeholders(base: str, slots: Iterable[int]) -> list[str]:
    return [f"{base}_{part}_{slot}-missing_0_0" for slot in slots for part in ("rimage", "rmeta")]
