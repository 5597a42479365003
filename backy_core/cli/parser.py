"""The command line: every command, its arguments, and the module that runs it.

Only the command that is asked for gets its arguments: building all of them takes as long as an
answer of the agent.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from backy_core import __version__

TYPE_CHECKING = False  # as type checkers understand it: typing takes 2 ms to load
if TYPE_CHECKING:
    from typing import Any

Fill = Callable[[argparse.ArgumentParser, Sequence[str]], None]
_HEAD = """\
Make, watch, mend and shelve redundant pools of whole drives.

examples:
  backy drives                               # what is plugged in, and what is free
  backy pools create shelf WD-1 WD-2         # a RAID1 pool of two drives, mounted
  backy pools unmount shelf                  # now its drives may be unplugged
"""
_TAIL = """\
POOL is a label or the beginning of an identifier, SERIAL the beginning of a serial.
`backy COMMAND --help` tells more; backy(8) lists settings and exit statuses."""


def build_parser(words: Sequence[str] = (), *, whole: bool = False) -> argparse.ArgumentParser:
    """The parser for these words; with ``whole``, for all."""
    parser = argparse.ArgumentParser(
        prog="backy",
        usage=argparse.SUPPRESS,
        description=_HEAD,
        epilog=_TAIL,
        formatter_class=_roomy,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"backy {__version__}")
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, title="commands", prog="backy"
    )
    only = next(iter(words), None)
    for name, (text, fill) in COMMANDS.items():
        if only in COMMANDS and name != only and not whole:
            continue
        shown: dict[str, Any] = {"help": text, "description": _sentence(text)} if text else {}
        command = commands.add_parser(name, allow_abbrev=False, formatter_class=_roomy, **shown)
        if whole or name == only:
            fill(command, () if whole else words[1:])
    return parser


def _roomy(prog: str) -> argparse.HelpFormatter:
    # With no width, argparse imports all of shutil to find one.
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() else 80
    formatter = argparse.RawDescriptionHelpFormatter(prog, max_help_position=26, width=width - 2)
    formatter._action_max_length = 16  # it forgets how far the names of commands are indented
    return formatter


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


_Argument = tuple[str, dict[str, object]]


class _Verbs:
    """The verbs of one noun. Without a verb, the first one counts."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._known: dict[str, tuple[str, str, tuple[_Argument, ...]]] = {}

    def add(self, name: str, text: str, *arguments: _Argument, module: str = "") -> None:
        function = "import_" if name == "import" else name.replace("-", "_")
        self._known[name] = (text, f"{module or self._module}:{function}", arguments)

    def build(self, noun: argparse.ArgumentParser, words: Sequence[str]) -> None:
        """All of them, or the one that is among the words."""
        _, run, arguments = next(iter(self._known.values()))
        _leaf(noun, run, [one for one in arguments if one[0].startswith("-")])
        verbs = noun.add_subparsers(dest="verb", metavar="VERB", title="verbs", prog=noun.prog)
        asked = next((word for word in words if not word.startswith("-")), "")
        for name in (asked,) if asked in self._known else self._known:
            text, run, arguments = self._known[name]
            verb = verbs.add_parser(
                name,
                help=text,
                description=_sentence(text),
                allow_abbrev=False,
                formatter_class=_roomy,
            )
            _leaf(verb, run, arguments)


def _leaf(
    parser: argparse.ArgumentParser, run: str, arguments: Iterable[tuple[str, dict[str, object]]]
) -> None:
    parser.set_defaults(run=run)
    given = tuple(arguments)
    named = {name for name, _ in given}
    for name, options in (*given, *(one for one in _COMMON if one[0] not in named)):
        # A verb must not reset what was given before it.
        absent = {"default": argparse.SUPPRESS} if options.get("action") == "store_true" else {}
        parser.add_argument(name, **{**absent, **options})  # type: ignore[arg-type]


def _flag(name: str, text: str) -> tuple[str, dict[str, object]]:
    return name, {"action": "store_true", "help": text}


def _option(name: str, value: str, text: str, **more: object) -> tuple[str, dict[str, object]]:
    return name, {"metavar": value, "help": text, "default": argparse.SUPPRESS, **more}


def _word(name: str, shown: str, text: str, **more: object) -> tuple[str, dict[str, object]]:
    return name, {"metavar": shown, "help": text, **more}


_COMMON = (
    _flag("--json", "print the agent's reply, for programs"),
    _option("--url", "URL", "the agent: http://HOST:PORT, https://HOST or unix:PATH (BACKY_URL)"),
    _option("--context", "NAME", "the agent of this context (BACKY_CONTEXT)"),
)
_POOL = _word("pool", "POOL", "its label, or the beginning of its identifier")
_DRIVE = _word("serial", "SERIAL", "its serial, or the beginning of it")
_OPERATION = _word("operation", "OPERATION", "the beginning of its identifier")
_WATCH = _flag("--watch", "show it again whenever it changes, until Ctrl-C")
_YES = _flag("--yes", "do not ask: for scripts")
_DRY_RUN = _flag("--dry-run", "show what would be done, and do nothing")
_DETACH = _flag("--detach", "do not wait for the end")
_LINES = _flag("--verbose", "show the output of every command as well")
_AT = _option("--at", "PATH", "where to mount it")


def _drives(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    verbs = _Verbs("drives")
    verbs.add("list", "list the drives, and what each is used for", _WATCH)
    verbs.add("show", "show one drive", _DRIVE)
    verbs.add("protect", "refuse a drive for everything that erases", _DRIVE)
    verbs.add("unprotect", "lift a drive's protection", _DRIVE)
    verbs.add("refresh", "look at all drives again")
    verbs.build(parser, words)


def _pools(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    verbs = _Verbs("pools")
    state = _option("--state", "STATE", "those in this state: failed and deleted ones, too")
    verbs.add("list", "list the pools", state, _WATCH)
    verbs.add("show", "show one pool and its drives", _POOL, _WATCH)
    _pool_changes(partial(verbs.add, module="pool_changes"))
    kill = _flag("--kill", "end them, and unmount the pool")
    verbs.add("processes", "list the processes that keep a pool busy", _POOL, kill, _YES)
    verbs.add("outputs", "show what was run for a pool, and what it printed", _POOL, _WATCH)
    verbs.build(parser, words)


def _pool_changes(change: Callable[..., None]) -> None:
    change(
        "create",
        "make a pool of drives and mount it",
        _word("label", "LABEL", "a name for it"),
        _word("serials", "SERIAL", "its drives", nargs="+"),
        _option("--backend", "NAME", "see `backy backends`"),
        _option("--level", "LEVEL", "how it is redundant: raid1, say"),
        _option("--filesystem", "NAME", "ext4, say"),
        _AT,
        _flag("--wipe", "erase what is on the drives"),
        _flag("--native", "use all that this machine knows: older ones may not open the pool"),
        *(_DRY_RUN, _DETACH, _LINES, _YES),
    )
    force = _flag("--force", "read-only, with drives that are behind the others")
    change("mount", "open a pool and mount it", _POOL, _AT, force, _DRY_RUN, _DETACH, _LINES, _YES)
    watched = (_DRY_RUN, _DETACH, _LINES)
    change("unmount", "unmount a pool, so that its drives may be unplugged", _POOL, *watched)
    change(
        "delete",
        "erase a pool and all that is in it",
        _POOL,
        _flag("--wipe", "also what was written to it after its creation was interrupted"),
        _option("--wipe-copy", "SERIAL", "also this drive, which is a copy", action="append"),
        _option("--destroy-other", "NAME", "also this, which is no part of it", action="append"),
        *(_DRY_RUN, _DETACH, _LINES, _YES),
    )
    change("rename", "give a pool another label", _POOL, _word("label", "LABEL", "the new one"))
    wipe = _flag("--wipe", "erase what is on the drive")
    change("add-drive", "take a drive back, or a new one in", _POOL, _DRIVE, wipe, *watched, _YES)
    old = _word("old", "OLD", "the serial of the member that goes")
    new = _word("serial", "SERIAL", "the serial of the drive that takes its place")
    change("replace", "put a drive in the place of a member", _POOL, old, new, wipe, *watched, _YES)
    change(
        "import",
        "adopt a pool that is on the drives; without a name, list them",
        _word("pool", "POOL", "its label, or the beginning of its identifier", nargs="?"),
        _option("--label", "LABEL", "a name for it"),
        _AT,
    )
    change("forget", "forget a pool, and leave its drives as they are", _POOL, _YES)


def _operations(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    verbs = _Verbs("operations")
    verbs.add("list", "list what runs, and what has ended lately", _WATCH)
    verbs.add("show", "show one operation", _OPERATION, _WATCH)
    verbs.add("cancel", "stop an operation and roll it back", _OPERATION, _YES)
    verbs.build(parser, words)


def _keys(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    verbs = _Verbs("keys")
    name = _word("name", "KEY", "the key's name")
    scopes = ("read", "operate", "admin")
    scope = _option("--scope", "SCOPE", "read (if not given), operate or admin", choices=scopes)
    verbs.add("list", "list the keys, and when each was used last")
    verbs.add("create", "make a key, and show its secret once", name, scope)
    verbs.add("rotate", "give a key a new secret, and show it once", name, _YES)
    verbs.add("revoke", "refuse a key from now on", name, _YES)
    verbs.build(parser, words)


def _notify(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    verbs = _Verbs("notify")
    verbs.add("test", "send a test message to every target, and show what each answers")
    verbs.build(parser, words)


def _backends(parser: argparse.ArgumentParser, _: Sequence[str]) -> None:
    _leaf(parser, "service:backends", ())


def _doctor(parser: argparse.ArgumentParser, _: Sequence[str]) -> None:
    fix = _option("--fix", "FINDING", "repair this: the subject of a finding, or its beginning")
    _leaf(parser, "doctor:examine", (fix, _DRY_RUN, _DETACH, _LINES, _YES))


def _events(parser: argparse.ArgumentParser, _: Sequence[str]) -> None:
    _leaf(parser, "events:follow", ())


def _config(parser: argparse.ArgumentParser, _: Sequence[str]) -> None:
    _leaf(parser, "service:config", (_option("--config", "FILE", "read this file instead"),))


def _context(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    verbs = _Verbs("contexts")
    name = _word("name", "NAME", "the agent's name in this file")
    verbs.add("list", "list the agents that are known by name")
    where = _option("--url", "URL", "http://HOST:PORT, https://HOST or unix:PATH", required=True)
    file = _option("--key-file", "FILE", "read its key there (otherwise BACKY_API_KEY, or it asks)")
    verb = "remember an agent and its key"
    verbs.add("add", verb, _word("name", "NAME", "a name for it"), where, file)
    verbs.add("use", "make an agent the one that commands speak to", name)
    verbs.add("remove", "forget an agent and its key", name)
    verbs.build(parser, words)


def _completion(parser: argparse.ArgumentParser, _: Sequence[str]) -> None:
    shells = ("bash", "zsh", "fish")
    parser.set_defaults(run="completing:script")
    parser.add_argument("shell", choices=shells, help="add its output to what your shell reads")


def _complete(parser: argparse.ArgumentParser, _: Sequence[str]) -> None:
    parser.set_defaults(run="completing:candidates")
    parser.add_argument("words", nargs="*")


def _serve(parser: argparse.ArgumentParser, _: Sequence[str]) -> None:
    from backy_core.cli.serve_flags import add_flags

    add_flags(parser)


COMMANDS: dict[str, tuple[str, Fill]] = {
    "drives": ("list drives; protect them", _drives),
    "pools": ("make pools, mount, mend and delete them", _pools),
    "operations": ("what runs, and what has ended lately", _operations),
    "events": ("what changes, as it changes", _events),
    "doctor": ("what is wrong, and what to do about it", _doctor),
    "backends": ("the kinds of pools that can be made", _backends),
    "keys": ("who may use the agent from elsewhere", _keys),
    "notify": ("whether messages reach whom they should", _notify),
    "context": ("agents on other machines", _context),
    "config": ("the settings of the agent on this machine", _config),
    "completion": ("the completion of your shell", _completion),
    "serve": ("run the agent itself", _serve),
    "complete": ("", _complete),
}
"""The words that follow ``backy``. The last one is for shells."""
