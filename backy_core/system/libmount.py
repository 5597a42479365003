"""libmount, called in this process as ``mount`` and ``umount`` call it.

What failed is told by errno, where those programs exit with 32 for nearly everything, and the core
mounts and unmounts without starting a process. Constants and rules are those of ``libmount.h``
(2.30 or later, a stable ABI; every Debian has the library, ``mount`` needs it).
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import c_char_p, c_int, c_size_t, c_void_p
from functools import lru_cache

from backy_core.sdk.errors import SystemFailure

_LIBRARY = "libmount.so.1"
_WORDS = 1024
"""Bytes for an explanation; libmount cuts off what is longer."""


class MountFailed(SystemFailure):
    """``errno`` is that of mount(2) or umount(2); 0: it was not called."""

    def __init__(self, message: str, details: str, errno: int) -> None:
        super().__init__(message, details=details)
        self.errno = errno


def mount(source: str, path: str, fstype: str, options: str, *, place: int) -> str | None:
    """Mount ``source`` at ``path``; what libmount has to say of it, if anything.

    ``place`` is a descriptor of that directory: the mount is made there, whatever the path leads
    to by now. Nothing else is canonicalised either: what is mounted is what was asked for, not what
    a link that appeared since leads to. Blocks for as long as the filesystem takes, a replay of its
    journal included. Raises :class:`MountFailed`.
    """
    # The dot has it followed also by move_mount(2), which leaves a link at the end as it is.
    target = f"/proc/self/fd/{place}/."
    with _context(path, target) as context:
        library = _library()
        library.mnt_context_disable_canonicalize(context, 1)
        library.mnt_context_set_source(context, source.encode())
        library.mnt_context_set_fstype(context, fstype.encode())
        library.mnt_context_set_options(context, options.encode())
        answer = library.mnt_context_mount(context)
        try:
            return _named(_judged(context, answer, f"{path} could not be mounted"), target, path)
        except MountFailed as failure:
            failure.details = _named(failure.details, target, path)
            raise


def unmount(path: str) -> str | None:
    """Unmount what is on top at ``path``, never lazily; as :func:`mount` otherwise."""
    with _context(path, path) as context:
        answer = _library().mnt_context_umount(context)
        return _judged(context, answer, f"{path} could not be unmounted")


def _named(words: str | None, target: str, path: str) -> str | None:
    return words.replace(target, path) if words else words


@contextmanager
def _context(path: str, target: str) -> Iterator[int]:
    """Helpers (``/sbin/mount.TYPE``) would be programs of which nobody knows."""
    library = _library()
    context = library.mnt_new_context()
    if not context:
        raise MountFailed(f"{path} is left as it is", "libmount has no memory", 0)
    try:
        library.mnt_context_disable_helpers(context, 1)
        library.mnt_context_set_target(context, target.encode())
        yield context
    finally:
        library.mnt_free_context(context)


def _judged(context: int, answer: int, failure: str) -> str | None:
    library = _library()
    buffer = ctypes.create_string_buffer(_WORDS)
    status = library.mnt_context_get_excode(context, answer, buffer, len(buffer))
    words = buffer.value.decode("utf-8", "replace")
    if status == 0:
        return words or None
    called = library.mnt_context_syscall_called(context)
    number = library.mnt_context_get_syscall_errno(context) if called else 0
    raise MountFailed(failure, words or f"libmount answers {answer}", number)


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    """Loaded at the first mount: nothing happens at import."""
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise MountFailed("Filesystems cannot be mounted", str(error), 0) from error
    declared = {
        "mnt_new_context": (c_void_p, ()),
        "mnt_free_context": (None, (c_void_p,)),
        "mnt_context_disable_canonicalize": (c_int, (c_void_p, c_int)),
        "mnt_context_disable_helpers": (c_int, (c_void_p, c_int)),
        "mnt_context_set_source": (c_int, (c_void_p, c_char_p)),
        "mnt_context_set_target": (c_int, (c_void_p, c_char_p)),
        "mnt_context_set_fstype": (c_int, (c_void_p, c_char_p)),
        "mnt_context_set_options": (c_int, (c_void_p, c_char_p)),
        "mnt_context_mount": (c_int, (c_void_p,)),
        "mnt_context_umount": (c_int, (c_void_p,)),
        "mnt_context_syscall_called": (c_int, (c_void_p,)),
        "mnt_context_get_syscall_errno": (c_int, (c_void_p,)),
        "mnt_context_get_excode": (c_int, (c_void_p, c_int, c_char_p, c_size_t)),
    }
    for name, (result, arguments) in declared.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
