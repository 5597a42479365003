"""Check the description that a backend or layer gives of itself, at load.

Raises BackendFailure with the problem.
"""

from __future__ import annotations

from backy_core.sdk.errors import BackendFailure
from backy_core.sdk.layers import LayerInfo
from backy_core.sdk.models import BackendInfo

_RUN_ANYTHING = frozenset(
    (
        *("sh", "ash", "bash", "busybox", "csh", "dash", "fish", "ksh", "mksh", "tcsh", "zsh"),
        *("awk", "expect", "perl", "python", "python3", "ruby"),
        *("chroot", "env", "nsenter", "parallel", "ssh", "su", "sudo", "unshare", "xargs"),
    )
)
"""Shells, and programs that run others: what a plan may run could no longer be told from it."""


def check_backend(name: str, info: object) -> None:
    """``info`` is what backend ``name`` answered."""
    if not isinstance(info, BackendInfo):
        raise BackendFailure(f"backy_backend answered {type(info).__name__}, not BackendInfo")
    _check_name(name, info)
    words = [word for level in info.levels for word in (level.name, *level.aliases)]
    if not words or len(set(words)) != len(words):
        raise BackendFailure("it names no level, or one twice")
    if any(level.min_drives < 1 for level in info.levels):
        raise BackendFailure("one of its levels needs no drive")
    if any((level.max_drives or level.min_drives) < level.min_drives for level in info.levels):
        raise BackendFailure("one of its levels takes fewer drives than it needs")
    if info.delivers != "nothing" and not info.filesystems:
        raise BackendFailure("it names no filesystem")
    _check_programs("backy_backend", info)


def check_layer(name: str, info: object) -> None:
    """``info`` is what layer ``name`` answered."""
    if not isinstance(info, LayerInfo):
        raise BackendFailure(f"backy_layer answered {type(info).__name__}, not LayerInfo")
    _check_name(name, info)
    _check_programs("backy_layer", info)


def _check_name(name: str, info: BackendInfo | LayerInfo) -> None:
    if info.name != name:
        raise BackendFailure(f"it calls itself {info.name}, its entry point {name}")


def _check_programs(hook: str, info: BackendInfo | LayerInfo) -> None:
    """Neither plans nor looks may run what runs anything."""
    if any("/" in tool.name or not tool.name for tool in info.tools):
        raise BackendFailure("one of its tools is not a plain program name")
    named = {
        "tool": [tool.name for tool in info.tools],
        "read command": [words[0] for words in info.read_commands if words],
    }
    for kind, programs in named.items():
        if shell := next((program for program in programs if program in _RUN_ANYTHING), None):
            raise BackendFailure(
                f"{hook} declares {shell} as a {kind}, which runs whatever it is given: "
                "declare the programs themselves, and run each of them"
            )
