"""The manual pages, written from flags, settings and exit statuses.

``python -m backy_core.cli.manual FOLDER`` writes ``backy.8`` and ``backy.toml.5``.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from pydantic.fields import FieldInfo

from backy_core import __version__
from backy_core.cli.exits import Exit
from backy_core.cli.parser import build_parser
from backy_core.cli.reference import choices_of, default_of
from backy_core.config.settings import CONFIG_FILE_VARIABLE, Settings, single_settings, variable_of

_PATHS = Settings()


def render() -> dict[str, str]:
    """Each page by its file name."""
    return {"backy.8": _of_the_program(), "backy.toml.5": _of_the_file()}


def _of_the_program() -> str:
    return _page(
        "backy",
        8,
        {
            "NAME": ["backy - storage-pool agent"],
            "SYNOPSIS": [
                "`backy` COMMAND [VERB] [ARGUMENT ...] [`--json`] [`--url` URL]",
                "`backy serve` [`--config` FILE] [`--SETTING` VALUE ...]",
                "`backy --version`",
            ],
            "DESCRIPTION": _description(),
            "COMMANDS": [*_commands(build_parser(whole=True))],
            "OPTIONS OF SERVE": [
                *_item("--config FILE", "The configuration file to read."),
                *_item("--SETTING VALUE", "Each setting of backy.toml(5) is a flag as well."),
            ],
            "EXIT STATUS": [
                line
                for exit_status in Exit
                for line in _item(str(exit_status.value), exit_status.meaning)
            ],
            "FILES": [
                *_item(str(_PATHS.config_dir / "backy.toml"), "Settings; see backy.toml(5)."),
                *_item(str(_PATHS.api_key_path), "The API key, readable by root only."),
                *_item(str(_PATHS.state_dir), "What the agent remembers of pools."),
                *_item(str(_PATHS.root_socket_path), "The API, for root without the key."),
                *_item("/run/backy/agent.sock", "The API, for members of the group backy."),
            ],
            "ENVIRONMENT": [
                *_item(CONFIG_FILE_VARIABLE, "As `--config`."),
                *_item("BACKY_URL", "The agent that commands speak to, as `--url`."),
                *_item("BACKY_API_KEY", "Its key."),
                *_item("BACKY_CONTEXT", "The context to use, as `--context`."),
                *_item("NO_COLOR", "If it is set, nothing is coloured."),
                *_item(variable_of("setting"), "Each setting of backy.toml(5), in capitals."),
            ],
            "SEE ALSO": ["backy.toml(5), mdadm(8), lvm(8), zpool(8)"],
        },
    )


def _description() -> list[str]:
    return [
        "The agent makes, inspects, mounts, unmounts and tears down pools of whole drives "
        f"behind an HTTP API on {_PATHS.host} port {_PATHS.port}. It must run as root; "
        "systemd(1) starts it. `systemctl status backy` shows it, `journalctl -u backy` "
        "what it says.",
        "The other commands are clients of it, here or on another machine. Root on the "
        "same machine needs no key; everyone else needs the one that the agent makes at "
        "its first start.",
        "POOL is a label or the beginning of an identifier, SERIAL a serial or the "
        "beginning of one. What erases something asks for the label of the pool, unless "
        "`--yes` is given. `--json` prints the agent's reply as it is.",
    ]


def _commands(parser: argparse.ArgumentParser) -> Iterable[str]:
    """Each command that does something, with its arguments and options."""
    below = [
        one
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, one in action.choices.items()
        if name not in ("serve", "complete")
    ]
    for one in below:
        yield from _commands(one)
    if not below:
        yield from _item(parser.prog + _places(parser), _told(parser))


def _places(parser: argparse.ArgumentParser) -> str:
    shown = ((action, action.metavar or action.dest) for action in parser._actions)
    places = [
        f"[{name}]" if action.nargs == "?" else f"{name}{' ...' * (action.nargs == '+')}"
        for action, name in shown
        if not action.option_strings
    ]
    return "".join(f" {place}" for place in places)


def _told(parser: argparse.ArgumentParser) -> str:
    common = ("--help", "--json", "--url", "--context")
    options = [
        f"`{action.option_strings[-1]}`{f' {action.metavar or str()}'.rstrip()}: {action.help}."
        for action in parser._actions
        if action.option_strings and action.option_strings[-1] not in common
    ]
    return " ".join([parser.description or "", *options])


def _of_the_file() -> str:
    return _page(
        "backy.toml",
        5,
        {
            "NAME": ["backy.toml - settings of backy(8)"],
            "DESCRIPTION": [
                "Each setting is a key of this TOML file, an environment variable and a flag of "
                "`backy serve`; a flag wins over the environment, the environment over the file. "
                "An unknown key is refused by name. The agent reads the file when it starts."
            ],
            "SETTINGS": [
                line
                for name, field in single_settings().items()
                for line in _item(name, _setting(name, field))
            ],
            "SEE ALSO": ["backy(8)"],
        },
    )


def _setting(name: str, field: FieldInfo) -> str:
    facts = [
        f"Default: {default_of(field.default)}.",
        *(f"{choice}." for choice in choices_of(field)),
    ]
    return " ".join([field.description or "", *facts, f"Environment: `{variable_of(name)}`."])


def _page(name: str, section: int, parts: dict[str, list[str]]) -> str:
    head = f'.TH {name.upper()} {section} "" "Backy {__version__}" "Backy"\n'
    return head + "".join(f".SH {title}\n" + _paragraphs(parts[title]) for title in parts)


def _paragraphs(lines: Iterable[str]) -> str:
    """Lines that begin with a dot are requests already; each other one is a paragraph."""
    return "".join(
        f"{line}\n" if line.startswith(".") else f".PP\n{_text(line)}\n" for line in lines
    )


def _item(tag: str, text: str) -> list[str]:
    return [f".TP\n.B {_text(tag)}\n{_text(text)}"]


def _text(text: str) -> str:
    """Escape text for roff; words in backquotes become bold."""
    literal = text.replace("\\", r"\e").replace("-", r"\-")
    return re.sub(r"`([^`]+)`", r"\\fB\1\\fR", literal)


if __name__ == "__main__":
    for file, page in render().items():
        Path(sys.argv[1], file).write_text(page)
