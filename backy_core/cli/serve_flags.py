"""The flags of ``backy serve``, derived from the settings."""

from __future__ import annotations

import argparse
import textwrap
from typing import Any

from pydantic.fields import FieldInfo

from backy_core.config.settings import CONFIG_FILE_VARIABLE, single_settings, variable_of

NOT_SETTINGS = frozenset({"command", "run"})


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Flags that were not given are absent from the result."""
    parser.argument_default = argparse.SUPPRESS
    parser.add_argument(
        "--config",
        metavar="FILE",
        default=argparse.SUPPRESS,
        help=f"configuration file (default: backy.toml in the config directory; "
        f"{CONFIG_FILE_VARIABLE})",
    )
    for name, field in single_settings().items():
        _add_flag(parser, name, field)


def given_flags(arguments: argparse.Namespace) -> dict[str, object]:
    """The settings among the arguments, and ``config``."""
    return {name: value for name, value in vars(arguments).items() if name not in NOT_SETTINGS}


def _add_flag(parser: argparse.ArgumentParser, name: str, field: FieldInfo) -> None:
    flag = "--" + name.replace("_", "-")
    text = f"{field.description} ({variable_of(name)})".replace("%", "%%").replace("`", "")
    shown: dict[str, Any] = {"help": textwrap.fill(text), "dest": name}
    if field.annotation is bool:
        action = argparse.BooleanOptionalAction
        parser.add_argument(flag, action=action, default=argparse.SUPPRESS, **shown)
    else:
        parser.add_argument(flag, metavar="VALUE", **shown)
