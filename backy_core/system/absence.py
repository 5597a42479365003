"""Telling "it is not there" from "nobody could look".

Out of descriptors or memory, or without permission, a read fails although the thing is there.
Taking that for absence would empty the list of mounts and holders, and every guard with it.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backy_core.sdk.errors import SystemFailure

GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO, errno.ESRCH})
"""What the kernel answers for a file, device or process that is not there (any more)."""

STARVED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""The agent or the host has no descriptors or memory left: this says nothing about the object."""


class LookFailed(SystemFailure):
    """The machine could not be looked at, so nothing is known about it."""


def look_failed(subject: Path | str, error: OSError) -> LookFailed:
    """The error to raise for ``error``, which does not mean that ``what`` is gone."""
    hint = "Close programs or raise the limit, and try again" if error.errno in STARVED else None
    reason = error.strerror or str(error)
    return LookFailed(f"{subject} cannot be read", details=reason, hint=hint)


@contextmanager
def suppress_gone(subject: Path | str, also: frozenset[int] = frozenset()) -> Iterator[None]:
    """Leave the block if ``what`` is gone; any other OSError becomes :class:`LookFailed`.

    ``also``: further error numbers that mean there is nothing to read.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in GONE | also:
            raise look_failed(subject, error) from error
