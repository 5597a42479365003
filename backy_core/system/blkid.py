"""libblkid, called in this process: a probe then costs a millisecond where a child costs fifty.

Asks what ``wipefs --no-act`` of util-linux asks, in the same way: superblocks, those with a bad
checksum too, and partition tables, with everything found hidden from the next round so that one
signature does not hide another. Constants and rules are those of ``blkid.h`` (libblkid 2.3x, a
stable ABI; every Debian has the library, ``mount`` needs it).
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from ctypes import POINTER, byref, c_char_p, c_int, c_int64, c_size_t, c_uint64, c_void_p
from functools import lru_cache

from backy_core.sdk.errors import SystemFailure
from backy_core.sdk.models import Signature
from backy_core.system.absence import STARVED, look_failed
from backy_core.system.text import clean_name

_LIBRARY = "libblkid.so.1"
_LABEL, _UUID, _TYPE, _MAGIC, _BADCSUM = 1 << 1, 1 << 3, 1 << 5, 1 << 9, 1 << 10
_SUPERBLOCKS = _LABEL | _UUID | _TYPE | _MAGIC | _BADCSUM
_FORCE_GPT, _PARTS_MAGIC = 1 << 1, 1 << 3
_FOUND, _NOTHING = 0, 1
_ONLY_IN = 2
_MOST = 1000
"""Rounds, where a member of a zpool takes 512. A library that finds the same for ever must not
hang the agent."""

_ENDS = 1 << 20
"""Bytes at either end of a device where signatures lie."""


class BlkidFailed(SystemFailure):
    """A device could not be read, so its signatures are unknown."""


def read_signatures(node: str, name: str, only: str | None = None) -> tuple[Signature, ...]:
    """Everything libblkid finds on ``node``, shown as device ``name``, in the order found.

    ``only``: superblocks of this type alone, of which a few blocks need to be read.

    Blocks for as long as the device does, without holding the interpreter's lock. The node is
    opened for reading, not exclusively: closing it announces nothing to udev. Raises
    :class:`BlkidFailed`; a device it cannot read is never "blank".
    """
    try:
        descriptor = os.open(node, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in STARVED:
            raise look_failed(node, error) from error
        raise BlkidFailed(f"{node} cannot be opened: {error.strerror}") from error
    try:
        _prepare(descriptor, everything=only is None)
        return _probe(descriptor, node, name, only)
    finally:
        os.close(descriptor)


def knows(kind: str) -> bool:
    """Whether libblkid could ever find a signature or partition table of this type."""
    blkid = _library()
    name = kind.encode()
    return bool(blkid.blkid_known_fstype(name) or blkid.blkid_known_pttype(name))


def _prepare(descriptor: int, *, everything: bool) -> None:
    """Have the ends read from the device, in few requests.

    What a write failed to bring to the device stays in the page cache for as long as anybody has
    the node open, so a drive that could not be wiped would look blank. libblkid advises random
    access, after which each page is a request of its own.
    """
    with suppress(OSError):  # a failing device is told of by the probe
        size = os.lseek(descriptor, 0, os.SEEK_END)
        for start in {0, max(0, size - _ENDS)}:
            os.posix_fadvise(descriptor, start, _ENDS, os.POSIX_FADV_DONTNEED)
            if everything:
                os.posix_fadvise(descriptor, start, _ENDS, os.POSIX_FADV_WILLNEED)


def _probe(descriptor: int, node: str, name: str, only: str | None) -> tuple[Signature, ...]:
    blkid = _library()
    probe = blkid.blkid_new_probe()
    if not probe:
        raise BlkidFailed(f"{node} cannot be probed: libblkid has no memory")
    try:
        if blkid.blkid_probe_set_device(probe, descriptor, 0, 0) != 0:
            raise BlkidFailed(f"{node} cannot be probed: {_reason()}")
        blkid.blkid_probe_enable_superblocks(probe, 1)
        blkid.blkid_probe_set_superblocks_flags(probe, _SUPERBLOCKS)
        if only is None:
            blkid.blkid_probe_enable_partitions(probe, 1)
            blkid.blkid_probe_set_partitions_flags(probe, _PARTS_MAGIC | _FORCE_GPT)
        else:
            names = (c_char_p * 2)(only.encode(), None)
            blkid.blkid_probe_filter_superblocks_type(probe, _ONLY_IN, names)
        return _collect(blkid, probe, node, name)
    finally:
        blkid.blkid_free_probe(probe)


def _collect(blkid: ctypes.CDLL, probe: int, node: str, name: str) -> tuple[Signature, ...]:
    signatures: dict[tuple[int, str], Signature] = {}
    for _ in range(_MOST):
        ctypes.set_errno(0)
        answer = blkid.blkid_do_probe(probe)
        if answer == _NOTHING:
            return tuple(signatures.values())
        if answer != _FOUND:
            raise BlkidFailed(f"{node} cannot be read: {_reason()}")
        located = _located(blkid, probe)
        if located is None:  # a type without a place, which wipefs leaves out as well
            continue
        kind, offset, length = located
        signatures[offset, kind] = Signature(
            device=name,
            type=kind,
            uuid=_value(blkid, probe, "UUID"),
            label=_value(blkid, probe, "LABEL"),
            member=_value(blkid, probe, "UUID_SUB"),
            offset=offset,
            block_size=_number(_value(blkid, probe, "BLOCK_SIZE")),
        )
        blkid.blkid_probe_hide_range(probe, offset, length)
        blkid.blkid_probe_step_back(probe)
    raise BlkidFailed(f"{node} bears more than {_MOST} signatures")


def _located(blkid: ctypes.CDLL, probe: int) -> tuple[str, int, int] | None:
    """Type, offset and length of what was found last."""
    for kind_name, magic in (("TYPE", "SBMAGIC"), ("PTTYPE", "PTMAGIC")):
        kind = _value(blkid, probe, kind_name)
        if kind is None:
            continue
        offset, length = _value(blkid, probe, f"{magic}_OFFSET"), _length(blkid, probe, magic)
        return None if offset is None or not length else (kind, int(offset), length)
    return None


def _value(blkid: ctypes.CDLL, probe: int, name: str) -> str | None:
    """A name; None if there is none or nothing of it is left. What wrote it may be a stranger."""
    data = c_char_p()
    if blkid.blkid_probe_lookup_value(probe, name.encode(), byref(data), None) != 0:
        return None
    return clean_name((data.value or b"").decode("utf-8", "replace"))


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _length(blkid: ctypes.CDLL, probe: int, name: str) -> int:
    data, length = c_char_p(), c_size_t()
    if blkid.blkid_probe_lookup_value(probe, name.encode(), byref(data), byref(length)) != 0:
        return 0
    return length.value


def _reason() -> str:
    number = ctypes.get_errno()
    return os.strerror(number) if number else "libblkid gives no reason"


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    """Loaded at the first probe: nothing happens at import."""
    try:
        blkid = ctypes.CDLL(_LIBRARY, use_errno=True)
    except OSError as error:
        raise BlkidFailed(f"Signatures cannot be probed: {error}") from error
    declared = {
        "blkid_known_fstype": (c_int, (c_char_p,)),
        "blkid_known_pttype": (c_int, (c_char_p,)),
        "blkid_new_probe": (c_void_p, ()),
        "blkid_free_probe": (None, (c_void_p,)),
        "blkid_probe_set_device": (c_int, (c_void_p, c_int, c_int64, c_int64)),
        "blkid_probe_enable_superblocks": (c_int, (c_void_p, c_int)),
        "blkid_probe_set_superblocks_flags": (c_int, (c_void_p, c_int)),
        "blkid_probe_filter_superblocks_type": (c_int, (c_void_p, c_int, POINTER(c_char_p))),
        "blkid_probe_enable_partitions": (c_int, (c_void_p, c_int)),
        "blkid_probe_set_partitions_flags": (c_int, (c_void_p, c_int)),
        "blkid_do_probe": (c_int, (c_void_p,)),
        "blkid_probe_step_back": (c_int, (c_void_p,)),
        "blkid_probe_hide_range": (c_int, (c_void_p, c_uint64, c_uint64)),
        "blkid_probe_lookup_value": (
            c_int,
            (c_void_p, c_char_p, POINTER(c_char_p), POINTER(c_size_t)),
        ),
    }
    for name, (result, arguments) in declared.items():
        function = getattr(blkid, name)
        function.restype, function.argtypes = result, arguments
    return blkid
