"""zfs-fuse in a guest: unpacked by `make install`, copied in and started after each boot.

It is never installed on the host: its package would drive out the ZFS of a machine that has one.
"""

from .lab.state import REPOSITORY

_UNPACKED = REPOSITORY / ".venv" / "zfs-fuse"
PROGRAMS = _UNPACKED / "usr/sbin" if (_UNPACKED / "usr/sbin").is_dir() else _UNPACKED / "sbin"
"""Debian 13's package has its programs in usr/sbin, Debian 12's in sbin."""
# --disable-block-cache: or writing to a drive that fails succeeds, into the kernel's memory.
FUSE = f"""set -e
pidof zfs-fuse >/dev/null && exit 0
cp {PROGRAMS}/* /usr/sbin/
mkdir -p /etc/zfs /var/run/zfs
modprobe fuse
zfs-fuse --disable-block-cache
until zpool list >/dev/null 2>&1; do sleep 0.1; done
"""
