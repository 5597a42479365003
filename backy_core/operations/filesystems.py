"""How the core makes and mounts filesystems: argument lists, nothing else.

Labels are cut to what each superblock holds: ext4 16 bytes, XFS 12, btrfs 255.
"""

from __future__ import annotations

from typing import NamedTuple

from backy_core.sdk.errors import InvalidRequest

MOUNT_OPTIONS = "nosuid,nodev"
"""A pool may come from another host: no set-uid program or device node on it has effect."""


class Filesystem(NamedTuple):
    """``argv`` may hold ``{uuid}``, ``{label}`` and ``{node}``."""

    name: str
    package: str
    argv: tuple[str, ...]
    label_bytes: int
    unreplayed: str
    """The mount option that leaves the journal as it is; only for a read-only mount."""

    @property
    def program(self) -> str:
        return self.argv[0]


_NAMED = ("-U", "{uuid}", "-L", "{label}")
_KNOWN = {
    filesystem.name: filesystem
    for filesystem in (
        # -F: never ask; -m 0: a data pool needs no blocks kept back for root. Blocks and sectors
        # of 4096 from the start can bear a later member that has them; 512 or 1024 cannot.
        Filesystem(
            "ext4",
            "e2fsprogs",
            (*("mkfs.ext4", "-F", "-q", "-m", "0", "-b", "4096"), *_NAMED, "{node}"),
            16,
            "noload",
        ),
        Filesystem(
            "xfs",
            "xfsprogs",
            (
                *("mkfs.xfs", "-f", "-q", "-s", "size=4096", "-m", "uuid={uuid}"),
                *("-L", "{label}", "{node}"),
            ),
            12,
            "norecovery",
        ),
        Filesystem(
            "btrfs",
            "btrfs-progs",
            ("mkfs.btrfs", "-f", "-q", *_NAMED, "{node}"),
            255,
            "rescue=nologreplay",
        ),
    )
}


UNREPLAYED = frozenset(("noload", "norecovery", "nologreplay", "rescue=nologreplay"))
"""How the kernel shows a mount that replayed no journal; ext4 says ``norecovery`` of ``noload``."""


DEFAULT = "ext4"


def known(name: str) -> Filesystem:
    """Raises :class:`InvalidRequest` for a filesystem the core cannot make."""
    try:
        return _KNOWN[name]
    except KeyError:
        raise InvalidRequest(
            f"Filesystem {name} cannot be made", hint=f"Choose one of {', '.join(_KNOWN)}"
        ) from None


def is_known(name: str | None) -> bool:
    return name in _KNOWN


def make_argv(name: str, *, node: str, uuid: str, label: str) -> tuple[str, ...]:
    """The command that makes filesystem ``name`` on ``node``."""
    filesystem = known(name)
    short = superblock_label(label, filesystem.label_bytes)
    return tuple(part.format(uuid=uuid, label=short, node=node) for part in filesystem.argv)


def mount_options(name: str, *, read_only: bool) -> str:
    """What filesystem ``name`` is mounted with. ``read_only``: not a byte is written."""
    if not read_only:
        return MOUNT_OPTIONS
    return f"{MOUNT_OPTIONS},ro,{known(name).unreplayed}"


def superblock_label(label: str, limit: int) -> str:
    """``label`` without control characters and slashes, at most ``limit`` bytes of UTF-8.

    A leading dash is dropped: it would read as an option.
    """
    plain = "".join(c for c in label if c.isprintable() and c != "/").strip().lstrip("-")
    return plain.encode()[:limit].decode(errors="ignore").strip() or "backy"
