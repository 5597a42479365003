"""A layer plugin's description of itself."""

from __future__ import annotations

from backy_core.sdk.models import Tool
from backy_core.sdk.stack import Model


class LayerInfo(Model):
    """A layer's description of itself, read once at load."""

    name: str
    version: str
    tools: tuple[Tool, ...]
    """The only programs its plans may run."""
    read_commands: tuple[tuple[str, ...], ...] = ()
    """Prefixes of the read-only commands its inspect may run."""
    signature_types: tuple[str, ...] = ()
    """Signatures it owns."""
