"""The settings of a plugin."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class PluginSettings(BaseModel):
    """The keys of the table ``[plugins.NAME]`` in ``backy.toml``: subclass it, a field for a key.

    A field without a default must be set, or the agent does not start. Frozen, and closed to
    unknown keys.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
