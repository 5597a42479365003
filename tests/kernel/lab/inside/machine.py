"""System calls the standard library has no words for, and the small files of /sys and /proc."""

import ctypes
import errno
import functools
import os

RDONLY, NODEV, NOSUID, BIND, MOVE, REC, SHARED = 1, 4, 2, 4096, 8192, 16384, 1 << 20
"""Flags of mount(2), from <sys/mount.h>."""
_PIVOT_ROOT, _FINIT_MODULE = 155, 313
"""System call numbers of x86-64."""
_POWER_OFF = 0x4321FEDC
"""LINUX_REBOOT_CMD_POWER_OFF of reboot(2)."""


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    """mount(2); makes the target directory when it is missing."""
    os.makedirs(target, exist_ok=True)
    result = _libc().mount(
        source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()
    )
    _checked(result, f"mount {kind} {target}")


def unmount(target: str, lazy: bool = False) -> None:
    """umount2(2), with MNT_DETACH when lazy."""
    _checked(_libc().umount2(target.encode(), 2 if lazy else 0), f"umount {target}")


def pivot_root(new: str, old: str) -> None:
    """pivot_root(2)."""
    _checked(_libc().syscall(_PIVOT_ROOT, new.encode(), old.encode()), "pivot_root")


def load_module(path: str) -> None:
    """Load a .ko file with finit_module(2). No-op if it is already loaded."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _checked(_libc().syscall(_FINIT_MODULE, descriptor, b"", 0), f"insmod {path}")
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise
    finally:
        os.close(descriptor)


def power_off() -> None:
    """reboot(2) at once: no sync, no signals."""
    _libc().reboot(ctypes.c_uint(_POWER_OFF))


def write(path: str, text: str) -> None:
    """One write(2) to an existing file of /sys, /proc or configfs, or to a new ordinary one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, text.encode())
    except OSError as error:
        raise OSError(error.errno, f"write {text!r} to {path}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def read(path: str) -> str:
    """The whole of a small file."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
