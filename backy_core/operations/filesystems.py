"""How the core makes and mounts filesystems: argument lists, and what a mkfs says it knows.

A ``portable`` filesystem is one that the oldest supported system, Debian 12, mounts and checks:
what newer tools make by default beyond that is switched off, by what each mkfs has for it. One
that does not know a switch does not make the feature either.

Labels are cut to what each superblock holds: ext4 16 bytes, XFS 12, btrfs 255.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from backy_core.sdk.errors import InvalidRequest
from backy_core.sdk.models import Portability, Tool
from backy_core.system.machine import Programs

MOUNT_OPTIONS = "nosuid,nodev"
"""A pool may come from another host: no set-uid program or device node on it has effect."""


_ASK_S = 10.0


class Switch(NamedTuple):
    """Options that keep a feature out, for a mkfs whose help has ``word`` in it."""

    word: str
    options: tuple[str, ...]


class Filesystem(NamedTuple):
    """``argv`` may hold ``{uuid}``, ``{label}`` and ``{node}``."""

    name: str
    package: str
    oldest: str
    """The version of the package in the oldest supported system."""
    argv: tuple[str, ...]
    label_bytes: int
    unreplayed: str
    """The mount option that leaves the journal as it is; only for a read-only mount."""
    portable: tuple[str, ...] = ()
    """Options of a portable one that every mkfs knows."""
    help: tuple[str, ...] = ()
    """What prints the features that this mkfs knows, and writes nothing."""
    switches: tuple[Switch, ...] = ()
    """More options of a portable one."""
    version: tuple[str, ...] = ("-V",)
    """Arguments with which the program prints its version."""

    @property
    def program(self) -> str:
        return self.argv[0]

    @property
    def tool(self) -> Tool:
        return Tool(
            name=self.program, package=self.package, oldest=self.oldest, version=self.version
        )


_EXT4_FEATURES = (
    *("has_journal", "ext_attr", "resize_inode", "dir_index", "filetype", "extent", "64bit"),
    *("flex_bg", "sparse_super", "large_file", "huge_file", "dir_nlink", "extra_isize"),
    "metadata_csum",
)
_NAMED = ("-U", "{uuid}", "-L", "{label}")
_KNOWN = {
    filesystem.name: filesystem
    for filesystem in (
        # -F: never ask; -m 0: a data pool needs no blocks kept back for root. Blocks and sectors
        # of 4096 from the start can bear a later member that has them; 512 or 1024 cannot.
        Filesystem(
            "ext4",
            "e2fsprogs",
            "1.47.0",
            (*("mkfs.ext4", "-F", "-q", "-m", "0", "-b", "4096"), *_NAMED, "{node}"),
            16,
            "noload",
            # "none" forgets mke2fs.conf: exactly these, which are the defaults of Debian 12.
            portable=("-O", ",".join(("none", *_EXT4_FEATURES))),
        ),
        Filesystem(
            "xfs",
            "xfsprogs",
            "6.1",
            (
                *("mkfs.xfs", "-f", "-q", "-s", "size=4096", "-m", "uuid={uuid}"),
                *("-L", "{label}", "{node}"),
            ),
            12,
            "norecovery",
            # The option files that xfsprogs ships would do; that of 6.1 for Linux 6.1 is broken.
            help=("mkfs.xfs",),
            switches=(
                Switch("metadir=", ("-m", "metadir=0")),
                Switch("nrext64=", ("-i", "nrext64=0")),
                Switch("exchange=", ("-i", "exchange=0")),
                Switch("parent=", ("-n", "parent=0")),
            ),
        ),
        Filesystem(
            "btrfs",
            "btrfs-progs",
            "6.2",
            ("mkfs.btrfs", "-f", "-q", *_NAMED, "{node}"),
            255,
            "rescue=nologreplay",
            # Linux 6.1 knows it, but mkfs.btrfs itself calls it safe only from 6.6 on.
            help=("mkfs.btrfs", "-O", "list-all"),
            version=("--version",),
            switches=(Switch("block-group-tree", ("-O", "^block-group-tree")),),
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


async def options(programs: Programs, name: str, portability: Portability) -> tuple[str, ...]:
    """Extra mkfs options, for the installed version, that give ``name`` this portability."""
    filesystem = known(name)
    if portability == "native":
        return ()
    if not filesystem.help:
        return filesystem.portable
    help_output = await programs.run(filesystem.help, check=False, timeout_s=_ASK_S)
    known_here = (
        switch.options for switch in filesystem.switches if help_output.says((switch.word,))
    )
    return (*filesystem.portable, *(word for options in known_here for word in options))


def make_argv(
    name: str, *, node: str, uuid: str, label: str, options: Sequence[str] = ()
) -> tuple[str, ...]:
    """The command that makes filesystem ``name`` on ``node``."""
    filesystem = known(name)
    short = superblock_label(label, filesystem.label_bytes)
    program, *words = (part.format(uuid=uuid, label=short, node=node) for part in filesystem.argv)
    return (program, *options, *words)


def mount_options(name: str, *, read_only: bool) -> str:
    """Mount options for filesystem ``name``. ``read_only``: not a byte is written."""
    if not read_only:
        return MOUNT_OPTIONS
    return f"{MOUNT_OPTIONS},ro,{known(name).unreplayed}"


def superblock_label(label: str, limit: int) -> str:
    """``label`` without control characters and slashes, at most ``limit`` bytes of UTF-8.

    A leading dash is dropped: it would read as an option.
    """
    plain = "".join(c for c in label if c.isprintable() and c != "/").strip().lstrip("-")
    return plain.encode()[:limit].decode(errors="ignore").strip() or "backy"
