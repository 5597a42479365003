"""``docs/configuration.md``, written from the settings: ``python -m backy_core.cli.reference``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pydantic.fields import FieldInfo

from backy_core.cli.exits import Exit
from backy_core.config.settings import single_settings, variable_of

_HEAD = """\
# Configuration

This page is written from the settings themselves (`make docs-write`); a test holds it to them.

Each setting is a key of the TOML file, an environment variable and a flag of `backy serve`; a
flag wins over the environment, the environment over the file. The file is
`/etc/backy/backy.toml`, or what `--config` or `BACKY_CONFIG` names. An unknown key is refused by
name. Lists are TOML arrays; in the environment and in flags, comma-separated.

```toml
# /etc/backy/backy.toml
wipe_policy = "request"
exclude_drives = ["WD-OFFSITE-*"]
open_wait_s = 60
```
"""

_PLUGINS = """
## Plugins: `[plugins.NAME]`

Each plugin has its own table; a backend's name is the one that `GET /api/v1/backends` shows. The
plugin's own page lists its keys. The agent does not start with a table of a plugin that is not
installed, with an unknown key or without a required one, and names it.

```toml
# /etc/backy/backy.toml
[plugins.webhook]
url = "https://monitor.example/backy"
```

- Environment: `BACKY_PLUGIN_WEBHOOK_URL`, and so on; it wins over the file. A list can only be set
  in the file.
- Flag: none
"""

_EXITS = """
## Exit statuses of `backy`

| Status | Meaning |
|---|---|
"""


def render() -> str:
    """The whole page."""
    settings = "\n".join(_section(name, setting) for name, setting in single_settings().items())
    rows = "".join(f"| {status.value} | {status.meaning} |\n" for status in Exit)
    return f"{_HEAD}\n{settings}{_PLUGINS}{_EXITS}{rows}"


def _section(name: str, field: FieldInfo) -> str:
    return "\n".join(
        [
            f"## `{name}`",
            "",
            f"{field.description}",
            "",
            f"- Default: {default_of(field.default)}",
            *(f"- {choices}" for choices in choices_of(field)),
            f"- Environment: `{variable_of(name)}`",
            f"- Flag: `--{name.replace('_', '-')}`",
            "",
        ]
    )


def choices_of(field: FieldInfo) -> Iterator[str]:
    """The values that a setting can have, if they are few."""
    words = [word for word in get_args(field.annotation) if isinstance(word, str)]
    if words:
        yield "One of: " + ", ".join(f"`{word}`" for word in words)


def default_of(value: object) -> str:
    """A default as the page shows it."""
    if value in ((), None):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return ", ".join(map(default_of, value))
    return f"`{value}`" if isinstance(value, str | Path) else f"{value}"


if __name__ == "__main__":
    sys.stdout.write(render())
