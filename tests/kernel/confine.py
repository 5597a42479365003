"""Run a command as the unit does, where there is no systemd: ``confine.py UNIT COMMAND...``.

Reads the unit's own lines: capabilities, system calls, address families, namespaces, writable code,
mask. Uses seccomp filters and the bounding set as systemd does, with the same EPERM and ENOSYS.
"""

import ctypes
import errno
import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

HEADERS = ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h")
CAPABILITIES = "/usr/include/linux/capability.h"
_CAPBSET_DROP, _SET_SECCOMP, _NO_NEW_PRIVS = 24, 22, 38
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARGUMENTS = 0, 16
_WRITE_EXEC, _EXEC = 0x6, 0x4
_AF = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}

Instruction = tuple[int, int, int, int]


def settings(unit: str) -> dict[str, list[str]]:
    """The words of each key; lines of one key add up."""
    found: dict[str, list[str]] = {}
    for line in unit.splitlines():
        if matched := re.match(r"(\w+)=(.*)", line):
            found.setdefault(matched[1], []).extend(matched[2].split())
    return found


def numbers() -> dict[str, int]:
    """System calls of this architecture by name."""
    text = next(Path(each).read_text() for each in HEADERS if Path(each).exists())
    return {name: int(n) for name, n in re.findall(r"#define __NR_(\w+) (\d+)", text)}


def calls(names: Iterable[str]) -> set[str]:
    """System calls in systemd's groups."""
    plain: set[str] = set()
    for name in names:
        if not name.startswith("@"):
            plain.add(name)
            continue
        shown = subprocess.run(
            ["systemd-analyze", "--no-pager", "syscall-filter", name],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        words = (line.strip() for line in shown.splitlines()[1:])
        plain |= calls(word for word in words if word and not word.startswith("#"))
    return plain


def allow(listed: set[int], absent: set[int]) -> list[Instruction]:
    """EPERM for what is not listed, ENOSYS for what must look as if it were not there."""
    program: list[Instruction] = [(_LOAD, 0, 0, _NUMBER)]
    for number in sorted(absent):
        program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    for number in sorted(listed - absent):
        program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    return [*program, (_RETURN, 0, 0, _ERRNO | errno.EPERM)]


def refuse_code(number: int, argument: int, bits: int, *, all_of: bool) -> list[Instruction]:
    """EPERM for a call that has any, or ``all_of``, these bits in an argument."""
    where = _ARGUMENTS + 8 * argument
    each = [1 << n for n in range(8) if bits >> n & 1] if all_of else [bits]
    tests = [(_ANY_BIT, 0, len(each) - n, bit) for n, bit in enumerate(each)]
    return [
        *((_LOAD, 0, 0, _NUMBER), (_EQUAL, 0, len(tests) + 2, number), (_LOAD, 0, 0, where)),
        *tests,
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]


def refuse_families(number: int, families: Iterable[int]) -> list[Instruction]:
    """EAFNOSUPPORT for sockets of another family."""
    program: list[Instruction] = [(_LOAD, 0, 0, _NUMBER), (_EQUAL, 1, 0, number)]
    program += [(_RETURN, 0, 0, _ALLOW), (_LOAD, 0, 0, _ARGUMENTS)]
    for family in families:
        program += [(_EQUAL, 0, 1, family), (_RETURN, 0, 0, _ALLOW)]
    return [*program, (_RETURN, 0, 0, _ERRNO | errno.EAFNOSUPPORT)]


def install(program: list[Instruction]) -> None:
    code = b"".join(struct.pack("<HBBI", *each) for each in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    filters = struct.pack("<HxxxxxxQ", len(program), ctypes.addressof(buffer))
    prctl(_SET_SECCOMP, 2, ctypes.c_char_p(filters))


def prctl(option: int, first: int, second: object = 0) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, first, second, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}, {first}): {os.strerror(number)}")


def confine(unit: dict[str, list[str]]) -> None:
    kept = {word.removeprefix("CAP_").lower() for word in unit["CapabilityBoundingSet"]}
    known = re.findall(r"#define CAP_([A-Z_]+)\s+(\d+)", Path(CAPABILITIES).read_text())
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    number = numbers()
    allowed = {number[each] for each in calls(unit["SystemCallFilter"]) if each in number}
    hidden = {number["clone3"]} if unit["RestrictNamespaces"] == ["yes"] else set()
    if hidden:
        allowed -= {number["unshare"], number["setns"]}
    if unit["RestrictSUIDSGID"] == ["yes"]:
        hidden.add(number["openat2"])
    os.umask(int(unit["UMask"][0], 8))
    for name, value in known:
        if name.lower() not in kept and int(value) <= last:
            prctl(_CAPBSET_DROP, int(value))
    prctl(_NO_NEW_PRIVS, 1)
    install(refuse_families(number["socket"], [_AF[it] for it in unit["RestrictAddressFamilies"]]))
    if unit["MemoryDenyWriteExecute"] == ["yes"]:
        install(refuse_code(number["mmap"], 2, _WRITE_EXEC, all_of=True))
        install(refuse_code(number["mprotect"], 2, _EXEC, all_of=False))
    install(allow(allowed, hidden))


if __name__ == "__main__":
    confine(settings(Path(sys.argv[1]).read_text()))
    os.execvp(sys.argv[2], sys.argv[2:])
