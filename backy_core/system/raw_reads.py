"""A few bytes of a device, as they are on it now."""

from __future__ import annotations

import os
from contextlib import suppress


def read_at(node: str, offset: int, length: int) -> bytes:
    """``length`` bytes at ``offset``, or fewer where the device ends.

    Bypass the page cache: md and mounted filesystems write around it. The node is opened for
    reading and not exclusively, so udev gets no event when it is closed. Blocks for as long as the
    device does. Raises OSError.
    """
    descriptor = os.open(node, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_DONTNEED)
        return os.pread(descriptor, length, offset)
    finally:
        os.close(descriptor)
