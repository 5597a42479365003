"""Durable appends."""

from __future__ import annotations

import os


def append_durably(descriptor: int, data: bytes) -> None:
    """Append all of ``data``; on disk when it returns."""
    write_all(descriptor, data)
    os.fsync(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """All of ``data``, however many writes it takes. Not on disk yet when it returns."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
