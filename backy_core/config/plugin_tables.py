"""The tables ``[plugins.NAME]`` of the configuration file, validated once each plugin is loaded.

Only the plugin knows which keys it has, so the file's text is kept until then.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from backy_core.config.errors import ConfigurationError, first_problem
from backy_core.sdk.settings import PluginSettings

VARIABLE_PREFIX = "BACKY_PLUGIN_"
S = TypeVar("S", bound=PluginSettings)


class PluginTables(BaseModel):
    """What is set of plugins, by file and by environment."""

    model_config = ConfigDict(frozen=True)

    file: str = "defaults"
    """The configuration file, as errors name it."""
    tables: Mapping[str, Mapping[str, object]] = {}
    variables: Mapping[str, str] = {}

    @classmethod
    def read(cls, file: str, tables: object, env: Mapping[str, str]) -> PluginTables:
        """Check that ``tables`` is a table of tables. Raises :class:`ConfigurationError`."""
        _require_table("plugins", tables, file)
        assert isinstance(tables, dict)
        for name, table in tables.items():
            _require_table(f"plugins.{name}", table, file)
        variables = {name: env[name] for name in env if name.startswith(VARIABLE_PREFIX)}
        return cls(file=file, tables=tables, variables=variables)

    def settings_of(self, plugin: str, model: type[S]) -> S:
        """The plugin's own settings. Raises :class:`ConfigurationError` naming file and key."""
        names = {key: variable_of(plugin, key) for key in model.model_fields}
        from_env = {key: self.variables[var] for key, var in names.items() if var in self.variables}

        def origin_of(key: str) -> str:
            return f"environment variable {names[key]}" if key in from_env else self.file

        try:
            return model.model_validate({**self.tables.get(plugin, {}), **from_env})
        except ValidationError as error:
            raise first_problem(error, origin_of, f"plugins.{plugin}") from None

    def refuse_unknown(self, plugins: Iterable[str]) -> None:
        """Raise :class:`ConfigurationError` for a table of a plugin that is not installed."""
        installed = sorted(plugins)
        for name in self.tables:
            if name not in installed:
                raise ConfigurationError(
                    f"Unknown plugin '{name}': table [plugins.{name}] ({self.file})",
                    hint=f"Installed plugins: {', '.join(installed) or 'none'}",
                )

    def unused_variables(self, models: Mapping[str, type[PluginSettings]]) -> tuple[str, ...]:
        """Variables that set nothing of these plugins: worth a warning."""
        known = {
            variable_of(name, key) for name, model in models.items() for key in model.model_fields
        }
        return tuple(sorted(set(self.variables) - known))


def variable_of(plugin: str, key: str) -> str:
    """The environment variable of a plugin's setting."""
    return VARIABLE_PREFIX + re.sub(r"\W", "_", f"{plugin}_{key}").upper()


def _require_table(key: str, value: object, file: str) -> None:
    if not isinstance(value, dict):
        raise ConfigurationError(f"Setting '{key}' ({file}) must be a table")
