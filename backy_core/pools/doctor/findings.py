"""The doctor's facts and findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Protocol

from backy_core.machine.snapshot import Snapshot
from backy_core.pools.core import Core
from backy_core.pools.doctor.repair import Repair
from backy_core.pools.doctor.tool_versions import Outdated
from backy_core.sdk.advice import Hint, Text
from backy_core.system.directories import Place


class Severity(StrEnum):
    """``error``: data or the agent's work is in danger. ``warning``: it soon may be, or something
    is left over. ``info``: nothing is wrong."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Finding(NamedTuple):
    """``subject`` is a pool's GUID, a drive's serial, a path or another name. ``hint`` is a
    request that helps, and ``repair`` what the doctor itself can do, where there is one."""

    severity: Severity
    subject: str
    message: str
    evidence: tuple[str, ...] = ()
    remedy: Text | None = None
    hint: Hint | None = None
    repair: Repair | None = None


@dataclass(frozen=True)
class Facts:
    """The machine and the agent at one moment; reading it needs no further look at either."""

    core: Core
    snapshot: Snapshot
    kernel: str
    """The running release."""
    own_namespace: bool
    """The agent's mounts may be invisible to everyone else."""
    leftovers: tuple[Path, ...]
    """Files of tools that were killed."""
    empty_directories: tuple[str, ...]
    """Those among the mount paths that are no pool's."""
    offered_filesystems: frozenset[str] | None
    """Those that the kernel knows or has a module for; None if that cannot be told."""
    places: Mapping[str, Place]
    """By GUID, the mount directories of pools that are not mounted, as far as they can be seen."""
    clock_jump_s: float
    """How far the clock went since the agent's start, beyond the time that passed."""
    file_problems: tuple[str, ...]
    """Of the agent's own files."""
    outdated: tuple[Outdated, ...] = ()
    """Tools that are too old."""


class Check(Protocol):
    """One kind of trouble."""

    @property
    def name(self) -> str: ...

    def findings(self, facts: Facts) -> Iterator[Finding]: ...
