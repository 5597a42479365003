"""Read the kernel log during a command: only there does the kernel say why it refuses a drive."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path

_KMSG = Path("/dev/kmsg")
_RECORD_BYTES = 8192
_MOST_RECORDS = 2000
_MOST_LINES = 5


class KernelLog:
    """The kernel's messages since it was opened. Where they cannot be read there are none."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def about(self, devices: Collection[str]) -> tuple[str, ...]:
        """The last few messages that name one of these devices by its kernel name."""
        if not devices:
            return ()
        named = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, devices))})(?![\w-])")
        matching = [message for message in self.messages() if named.search(message)]
        return tuple(dict.fromkeys(matching))[-_MOST_LINES:]

    def messages(self) -> list[str]:
        """Messages since the last call. Each read gives one record."""
        messages: list[str] = []
        for _ in range(_MOST_RECORDS if self._descriptor is not None else 0):
            try:
                record = os.read(self._descriptor or 0, _RECORD_BYTES)
            except BrokenPipeError:  # older ones were overwritten; the next read goes on
                continue
            except OSError:
                break
            text = record.decode(errors="replace").partition(";")[2]
            messages.append(text.partition("\n")[0])
        return messages

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def open_kernel_log() -> KernelLog:
    """Listen from now on."""
    try:
        descriptor = os.open(_KMSG, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return KernelLog(None)
    os.lseek(descriptor, 0, os.SEEK_END)
    return KernelLog(descriptor)
