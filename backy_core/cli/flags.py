"""The command line, its flags derived from the settings."""

from __future__ import annotations

import argparse
import textwrap
from typing import Any

from pydantic.fields import FieldInfo

from backy_core import __version__
from backy_core.config.settings import CONFIG_FILE_VARIABLE, single_settings, variable_of


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``backy``. Flags that were not given are absent from the result."""
    parser = argparse.ArgumentParser(prog="backy", description="A storage-pool agent.")
    parser.add_argument("--version", action="version", version=f"backy {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    serve = commands.add_parser(
        "serve",
        help="run the agent",
        description="Run the agent until SIGTERM or SIGINT. Every flag is also a key of the "
        "configuration file and an environment variable.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    serve.add_argument(
        "--config",
        metavar="FILE",
        help=f"configuration file (default: backy.toml in the config directory; "
        f"{CONFIG_FILE_VARIABLE})",
    )
    for name, field in single_settings().items():
        _add_flag(serve, name, field)
    return parser


def given_flags(arguments: argparse.Namespace) -> dict[str, object]:
    """The settings among the arguments, and ``config``."""
    return {name: value for name, value in vars(arguments).items() if name != "command"}


def _add_flag(parser: argparse.ArgumentParser, name: str, field: FieldInfo) -> None:
    flag = "--" + name.replace("_", "-")
    text = f"{field.description} ({variable_of(name)})".replace("%", "%%").replace("`", "")
    shown: dict[str, Any] = {"help": textwrap.fill(text), "dest": name}
    if field.annotation is bool:
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, **shown)
    else:
        parser.add_argument(flag, metavar="VALUE", **shown)
