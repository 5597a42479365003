"""Shell completion: the scripts ask ``backy complete``, which knows every command."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TypeVar

from backy_core.cli.parser import build_parser
from backy_core.cli.session import Session
from backy_core.cli.stop import Stop
from backy_core.client import calls
from backy_core.client.calls import Call
from backy_core.client.errors import ClientError

T = TypeVar("T")
_SCRIPTS = {
    "bash": """\
_backy() {
    local words=("${COMP_WORDS[@]:1:COMP_CWORD}") found
    mapfile -t found < <(backy complete -- "${words[@]//\\\\/}" 2>/dev/null)
    COMPREPLY=()
    [ ${#found[@]} = 0 ] || mapfile -t COMPREPLY < <(printf '%q\\n' "${found[@]}")
}
complete -F _backy backy
""",
    "zsh": """\
#compdef backy
_backy() {
    local -a found
    found=(${(f)"$(backy complete -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)"})
    compadd -a found
}
if [ "$funcstack[1]" = _backy ]; then _backy "$@"; else compdef _backy backy; fi
""",
    "fish": """\
function __backy
    set -l begun (commandline -ct | string unescape)
    or set begun (commandline -ct)
    set -l words (commandline -opc) $begun
    backy complete -- $words[2..] 2>/dev/null
end
complete -c backy -f -a '(__backy)'
""",
}
_PATIENCE_S = 1.0


def script(session: Session) -> None:
    print(_SCRIPTS[session.arguments.shell], end="")


def candidates(session: Session) -> None:
    """Print the words that the last one may become, one a line."""
    *before, begun = session.arguments.words or [""]
    found = _options(before) if begun.startswith("-") else _candidates(session, before)
    for candidate in found:
        if candidate.startswith(begun) and candidate.isprintable():
            print(candidate)


def _candidates(session: Session, before: list[str]) -> Iterator[str]:
    parser, given, awaiting = _reached(before)
    if awaiting is not None:
        yield from _values(session, awaiting)
        return
    yield from _verbs(parser)
    places = [
        action
        for action in parser._actions
        if not action.option_strings and not isinstance(action, argparse._SubParsersAction)
    ]
    if places and (given < len(places) or places[-1].nargs == "+"):
        yield from _values(session, places[min(given, len(places) - 1)])


def _options(before: list[str]) -> Iterator[str]:
    parser, _, _ = _reached(before)
    for action in parser._actions:
        yield from (name for name in action.option_strings if name.startswith("--"))


def _reached(
    before: list[str],
) -> tuple[argparse.ArgumentParser, int, argparse.Action | None]:
    """The command that the words name, how many of its places they fill, and the option whose
    value comes next."""
    parser, given = build_parser(whole=True), 0
    awaiting: argparse.Action | None = None
    for word in before:
        below = _verbs(parser).get(word)
        if awaiting is not None:
            awaiting = None
        elif below is not None:
            parser, given = below, 0
        elif word.startswith("-"):
            awaiting = _with_value(parser, word)
        else:
            given += 1
    return parser, given, awaiting


def _with_value(parser: argparse.ArgumentParser, option: str) -> argparse.Action | None:
    return next(
        (one for one in parser._actions if option in one.option_strings and one.nargs is None),
        None,
    )


def _verbs(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return {name: one for name, one in action.choices.items() if name != "complete"}
    return {}


def _values(session: Session, place: argparse.Action) -> Iterator[str]:
    """Of a place, or an option, that names something the agent knows."""
    if place.choices:
        yield from place.choices
    try:
        if place.metavar == "POOL":
            pools = session.send(_soon(calls.list_pools()))
            yield from (pool["label"] for pool in pools)
        elif place.metavar in ("SERIAL", "OLD", "NEW"):
            drives = session.send(_soon(calls.list_drives()))["blockdevices"]
            yield from (drive["serial"] or "" for drive in drives)
        elif place.metavar == "OPERATION":
            operations = session.send(_soon(calls.list_operations()))
            yield from (operation["id"] for operation in operations)
        elif place.metavar == "FINDING":
            findings = session.send(_soon(calls.examine()))["findings"]
            yield from (finding["subject"] for finding in findings if finding["repairable"])
    except (ClientError, Stop):
        return


def _soon(call: Call[T]) -> Call[T]:
    return call._replace(timeout_s=_PATIENCE_S)
