"""Requests and results of the use cases as frozen data, independent of any edge.

Sizes are bytes, times are UTC, percentages are 0 to 100, estimates are minutes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Self, TypeVar

from backy_core.sdk.advice import Text
from backy_core.sdk.models import Portability
from backy_core.sdk.stack import Layer
from backy_core.store.opens_on import OpensOn
from backy_core.system.usage import Usage

T = TypeVar("T")


class Unchanging:
    """Data that never changes, and so can keep results computed from it."""

    def once(self, make: Callable[[Self], T]) -> T:
        """Return ``make`` of it, computed at the first call. ``make`` depends on nothing else."""
        results: dict[Callable[[Self], T], T] = vars(self).setdefault("_results", {})
        if make not in results:
            results[make] = make(self)
        return results[make]


class PoolState(StrEnum):
    """A pool's place in its life cycle; ``PoolView.pool_status`` is its health."""

    CREATING = "creating"
    READY = "ready"
    UNMOUNTED = "unmounted"
    ERROR = "error"
    FAILED = "failed"
    DELETED = "deleted"


class LayerRequest(NamedTuple):
    """A layer over the device of a new pool: its plugin's name, and options of the plugin's own."""

    kind: str
    options: dict[str, str | int]


@dataclass(frozen=True)
class CreateRequest:
    """A pool someone asks for. None means: choose for me."""

    label: str
    drive_serials: tuple[str, ...]
    mount_path: str | None = None
    drive_labels: dict[str, str] = field(default_factory=dict)
    guid: str | None = None
    backend: str | None = None
    level: str | None = None
    filesystem: str | None = None
    wipe: bool = False
    portability: Portability = "portable"
    layers: tuple[LayerRequest, ...] = ()
    """From the bottom. No edge offers them."""


class DriveView(NamedTuple):
    """A member of a pool. ``status`` is a member state of the SDK."""

    serial: str
    label: str | None
    status: str
    is_connected: bool


@dataclass(frozen=True)
class PoolView(Unchanging):
    """One pool as it stands now. ``device`` is the kernel's name of its device, if any."""

    guid: str
    label: str
    state: PoolState
    pool_status: str | None = None
    backend: str | None = None
    level: str | None = None
    filesystem: str | None = None
    device: str | None = None
    mount_path: str | None = None
    created_at: datetime | None = None
    usage: Usage | None = None
    """How full its filesystem is; None: it is not mounted, or has never answered."""
    drives: tuple[DriveView, ...] = ()
    sync_percent: float | None = None
    sync_minutes: float | None = None
    error_message: Text | None = None
    is_mounted: bool = False
    stale_because: str | None = None
    """Why what is said of members and health is from an earlier look; None: it is from now."""
    portability: Portability | None = None
    """What its creation asked for; None: made elsewhere, or before this was asked."""
    opens_on: OpensOn | None = None
    """As it was when the pool was made or mounted last; None: nothing is known."""

    @property
    def is_usable(self) -> bool:
        """Whether its filesystem can be asked how full it is."""
        return self.state is PoolState.READY and self.is_mounted


class PoolViews(Unchanging, tuple[PoolView, ...]):
    """Pools as they stand now, in the order of the list."""


class PlannedStep(NamedTuple):
    """A step of a dry run. ``command`` and ``undo`` are texts for people."""

    title: str
    command: str
    undo: str | None
    effect: str


class Creation(NamedTuple):
    """A creation with every choice made."""

    guid: str
    label: str
    drive_serials: tuple[str, ...]
    drive_labels: dict[str, str]
    mount_path: str
    backend: str
    level: str
    filesystem: str
    wipe: bool
    portability: Portability = "portable"
    layers: tuple[Layer, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Equal for requests that ask for the same."""
        return json.dumps(
            [
                self.guid,
                self.label,
                sorted(self.drive_serials),
                sorted(self.drive_labels.items()),
                self.mount_path,
                self.backend,
                self.level,
                self.filesystem,
                self.portability,
                [layer.model_dump() for layer in self.layers],
            ]
        )


class PlannedCreation(NamedTuple):
    """The dry run of a creation. ``opens_on``: None where only the pool itself will tell."""

    steps: tuple[PlannedStep, ...]
    portability: Portability
    opens_on: OpensOn | None


class MountMember(NamedTuple):
    """A connected member in the dry run of a mount. ``behind`` is a text for people."""

    serial: str
    state: str
    behind: str | None


class PlannedMount(NamedTuple):
    """The dry run of a mount. ``may_be_lost``: what it may cost; None: nothing is lost."""

    steps: tuple[PlannedStep, ...]
    members: tuple[MountMember, ...]
    may_be_lost: str | None


class ImportablePool(NamedTuple):
    """A pool found on drives that the metadata does not know. ``drives`` are serials."""

    guid: str
    backend: str
    native_id: str
    label: str | None
    level: str | None
    filesystem: str | None
    drives: tuple[str, ...]
    opens_on: OpensOn | None
    cannot_open_because: str | None
    """Why this machine is too old for it, in one sentence; None: it is not, as far as is known."""
