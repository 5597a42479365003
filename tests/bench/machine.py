"""Facts about the machine that readers need to interpret the figures."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = ("quart", "quart-schema", "hypercorn", "pydantic")


def description() -> list[str]:
    """One fact a line; no host name."""
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return [
        f"{os.cpu_count()} × {_processor()}, {_memory_gib():.0f} GiB of memory",
        f"Linux {platform.release()}, {_distribution()}, Python {sys.version.split()[0]}",
        libraries,
        "Creation: User Mode Linux, one processor, drives of 256 MiB in files",
    ]


def resident_kib(pid: int | str) -> int:
    """A process's resident memory."""
    return int(_field(f"/proc/{pid}/status", "VmRSS", ":").split()[0])


def _field(path: str, name: str, separator: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, found, value = line.partition(separator)
        if found and key.strip() == name:
            return value.strip().strip('"')
    return "unknown"


def _processor() -> str:
    return _field("/proc/cpuinfo", "model name", ":")


def _memory_gib() -> float:
    return int(_field("/proc/meminfo", "MemTotal", ":").split()[0]) / (1 << 20)


def _distribution() -> str:
    return _field("/etc/os-release", "PRETTY_NAME", "=")
