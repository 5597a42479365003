"""zfs-fuse in a guest, started after each boot; a suite has it, for the host it is copied in.

`make install` unpacks it. It is never installed on the host: its package would drive out the ZFS of
a machine that has one.
"""

from .lab.state import REPOSITORY
from .lab.systems import chosen

_UNPACKED = REPOSITORY / ".venv" / "zfs-fuse"
_ROOT = chosen().root if chosen().suite else _UNPACKED
PROGRAMS = next(
    (path for path in (_ROOT / "usr/sbin", _ROOT / "sbin") if (path / "zfs-fuse").exists()), None
)
"""Debian 13's package has its programs in usr/sbin, Debian 12's in sbin. None: there are none."""
_COPY = "" if chosen().suite else f"cp {PROGRAMS}/* /usr/sbin/"
# --disable-block-cache: or writing to a drive that fails succeeds, into the kernel's memory.
FUSE = f"""set -e
pidof zfs-fuse >/dev/null && exit 0
{_COPY}
mkdir -p /etc/zfs /var/run/zfs
modprobe fuse
zfs-fuse --disable-block-cache
until zpool list >/dev/null 2>&1; do sleep 0.1; done
"""
