"""The device stack of a pool: its container, and the layers over the container's device.

Devices of a stack are numbered from 0, the container's own device. Device ``n`` is that of the
``n``-th layer, which lies on device ``n - 1``.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Presence = Literal["absent", "stopped", "inactive", "active"]
"""How much of a pool or layer the kernel has. absent: nothing. stopped: stamps on what lies below
only. inactive: assembled and holding its drives, but not running. active: running."""


class Model(BaseModel):
    """Base of all models: frozen, closed to unknown fields, and built at first use, which saves a
    sixth of the agent's start-up time."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Layer(Model):
    """One layer over a pool's device, as its creation chose it."""

    kind: str
    """The name of its plugin."""
    identity: str
    """A UUID derived from the pool's GUID, the layer's number and its kind."""
    options: dict[str, str | int] = {}
    """The plugin's own, chosen at creation and never changed."""


class LayerReport(Model):
    """One layer, as its plugin's inspection found it."""

    identity: str
    """``Layer.identity``, or whatever the plugin calls a layer that is not Backy's."""
    presence: Presence
    """``active``, or ``stopped`` if only what lies below it shows that it exists."""
    device: str | None = None
    """Kernel name of its device (``dm-0``); None unless it is active."""
