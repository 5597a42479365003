"""Make `xstate.c` into a library where this host's processor needs it (its header says why)."""

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from .errors import LabUnavailable

KNOWN_TO_UML = 2696
"""Bytes of extended state linux.uml 6.1 has room for (`HOST_FP_SIZE` in arch/x86/um)."""

_SOURCE = Path(__file__).with_name("xstate.c")
_ATTACH, _GETREGSET, _NT_X86_XSTATE = 16, 0x4204, 0x202


class _Part(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def library() -> Path | None:
    """Path of the library to preload into linux.uml, None where it runs without.

    Kept in the virtual environment, named by its source's digest. LabUnavailable without gcc.
    """
    if host_size() <= KNOWN_TO_UML:
        return None
    digest = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]
    target = Path(sys.prefix) / "lab" / f"xstate-{digest}.so"
    if not target.exists():
        _build(target)
    return target


def host_size() -> int:
    """Bytes in this host's NT_X86_XSTATE register set, asked of a stopped child."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    area = ctypes.create_string_buffer(1 << 16)
    part = _Part(ctypes.addressof(area), len(area))
    # A program, no fork of this process: that may have threads.
    with subprocess.Popen(["sleep", "60"]) as child:
        libc.ptrace(_ATTACH, child.pid, None, None)
        os.waitpid(child.pid, os.WUNTRACED)
        libc.ptrace(_GETREGSET, child.pid, _NT_X86_XSTATE, ctypes.addressof(part))
        child.kill()
    return int(part.length)


def _build(target: Path) -> None:
    if shutil.which("gcc") is None:
        raise LabUnavailable(
            "This processor has more state (AMX) than Debian's linux.uml knows; "
            "the lab builds a small shim for it: apt-get install gcc."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}")
    argv = ["gcc", "-O2", "-Wall", "-shared", "-fPIC", "-nostdlib", "-o", str(partial)]
    built = subprocess.run([*argv, str(_SOURCE)], capture_output=True, text=True, check=False)
    if built.returncode != 0:
        raise LabUnavailable(f"gcc could not build {_SOURCE.name}: {built.stderr.strip()}")
    partial.replace(target)
