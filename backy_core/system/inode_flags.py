"""The immutable flag of an open file or directory, which ``chattr +i`` sets too.

While a directory has it, nobody can make a name in it, not even root. It can still be mounted on.
"""

from __future__ import annotations

import fcntl
import struct

# _IOR and _IOW of "f", as most architectures number them; on the others the kernel answers ENOTTY.
_FLAGS = struct.Struct("=l" if struct.calcsize("l") == 4 else "=q")
_GET = 0x80006601 | _FLAGS.size << 16
_SET = 0x40006602 | _FLAGS.size << 16
_IMMUTABLE = 0x10


def is_immutable(descriptor: int) -> bool:
    """Raises :class:`OSError`, ENOTTY or EOPNOTSUPP where the filesystem has no flags."""
    return bool(_read(descriptor) & _IMMUTABLE)


def set_immutable(descriptor: int, *, on: bool) -> None:
    """Raises :class:`OSError`, EPERM without the capability LINUX_IMMUTABLE."""
    flags = _read(descriptor)
    changed = flags | _IMMUTABLE if on else flags & ~_IMMUTABLE
    if changed != flags:
        fcntl.ioctl(descriptor, _SET, _packed(changed))


def _read(descriptor: int) -> int:
    """The kernel reads and writes an int, whatever the number of the call says."""
    answer = fcntl.ioctl(descriptor, _GET, bytes(_FLAGS.size))
    flags: int = struct.unpack_from("=i", answer)[0]
    return flags


def _packed(flags: int) -> bytes:
    return struct.pack("=i", flags).ljust(_FLAGS.size, b"\0")
