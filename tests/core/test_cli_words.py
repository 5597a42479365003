"""The command line: statuses, advice, help, and the modules it loads."""

from __future__ import annotations

import argparse
import subprocess
import sys

import pytest

from backy_core.api.errors import STATUS_OF_CODE
from backy_core.api.wording import request_of, worded
from backy_core.cli.exits import OF_CODE, Exit
from backy_core.cli.parser import COMMANDS, build_parser
from backy_core.cli.screen import Screen, size, wide
from backy_core.cli.wording import in_commands, quoted
from backy_core.client.advised import Advised
from backy_core.client.errors import UNREADABLE, ApiError
from backy_core.sdk.advice import Hint, Verb, advise
from backy_core.sdk.errors import BackyError
from tests.fakes.agent import GUID

AT_MOST = 10
"""Statuses: a script has to tell them apart."""
COMMANDS_ADVISED = {
    Verb.OPEN: "backy pools mount",
    Verb.CLOSE: "backy pools unmount",
    Verb.TEARDOWN: "backy pools delete",
    Verb.IMPORT: "backy pools import",
    Verb.FORGET: "backy pools forget",
    Verb.SHOW_OUTPUTS: "backy pools outputs",
    Verb.LIST_PROCESSES: "backy pools processes",
    Verb.LIST_IMPORTABLE: "backy pools import",
    Verb.LIST_OPERATIONS: "backy operations",
    Verb.LIST_DRIVES: "backy drives",
    Verb.UNPROTECT: "backy drives unprotect",
    Verb.EXAMINE: "backy doctor",
}


def all_codes(base: type[BackyError] = BackyError) -> set[str]:
    return {base.code}.union(*(all_codes(one) for one in base.__subclasses__()))


def test_every_code_of_an_error_has_a_status() -> None:
    assert set(OF_CODE) >= set(STATUS_OF_CODE) | {UNREADABLE}
    assert len(Exit) <= AT_MOST
    assert Exit.OK not in OF_CODE.values()
    ours = {code for code in all_codes() if code in STATUS_OF_CODE}
    assert ours <= set(OF_CODE)


@pytest.mark.parametrize("verb", list(Verb))
@pytest.mark.parametrize("end", ["", ".", ", then look", " (twice)"])
def test_every_advised_request_has_a_command(verb: Verb, end: str) -> None:
    subject = GUID if "{}" in request_of(Hint(verb, "{}")).path.replace("%7B%7D", "{}") else ""
    said = worded(advise("First ", Hint(verb, subject), end))
    expected = " ".join(filter(None, (COMMANDS_ADVISED[verb], subject[:8])))
    assert in_commands(said) == f"First {expected}{end}"
    words = expected.split()[1:]
    build_parser(words).parse_args(words)


@pytest.mark.parametrize(
    ("hint", "command"),
    [
        (Hint(Verb.TEARDOWN, GUID, (("wipe", True),)), "--wipe"),
        (Hint(Verb.TEARDOWN, GUID, (("wipe_copies", "a b"),)), "--wipe-copy 'a b'"),
        (Hint(Verb.TEARDOWN, GUID, (("destroy_others", "c;d"),)), "--destroy-other 'c;d'"),
        (Hint(Verb.OPEN, GUID, (("dry_run", True), ("force", True))), "--dry-run --force"),
    ],
)
def test_options_of_an_advised_request_are_flags(hint: Hint, command: str) -> None:
    assert in_commands(worded(advise(hint, "."))).endswith(f"{GUID[:8]} {command}.")


def test_a_drive_is_advised_by_its_serial() -> None:
    said = worded(advise(Hint(Verb.UNPROTECT, "WD 1/x"), "."))
    assert in_commands(said) == "backy drives unprotect 'WD 1/x'."


def test_an_error_has_its_hint_as_data() -> None:
    said = worded(advise("Unmount it: ", Hint(Verb.CLOSE, GUID)))
    error = ApiError(409, "CONFLICT", "It is mounted", said)
    assert error.hint == Advised("DELETE", f"/pools/{GUID}/mount", ())
    assert error.hint.subject == GUID
    assert ApiError(409, "CONFLICT", "It is mounted").hint is None


def test_words_are_quoted_for_a_shell() -> None:
    assert quoted("WD-1_x.y") == "WD-1_x.y"
    assert quoted("a;rm -r") == "'a;rm -r'"


def test_help_fits_one_screen_and_starts_with_three_examples() -> None:
    text = build_parser().format_help()
    lines = text.splitlines()
    assert len(lines) <= 30 and max(map(len, lines)) <= 85
    assert lines[2] == "examples:"
    assert sum(line.startswith("  backy ") for line in lines[:7]) == 3


def leaves(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    below = [
        one
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for one in action.choices.values()
    ]
    return [leaf for one in below for leaf in leaves(one)] or [parser]


@pytest.mark.parametrize("parser", leaves(build_parser(whole=True)), ids=lambda leaf: leaf.prog)
def test_every_command_has_a_function(parser: argparse.ArgumentParser) -> None:
    run = parser.get_default("run")
    if parser.prog == "backy serve":
        return
    module, _, function = run.partition(":")
    imported = __import__(f"backy_core.cli.commands.{module}", fromlist=[function])
    assert callable(getattr(imported, function))


@pytest.mark.parametrize("words", [[name] for name in COMMANDS])
def test_a_command_alone_is_parsed_as_among_all(words: list[str]) -> None:
    assert build_parser(words).format_help()


@pytest.mark.parametrize(
    ("number", "text"),
    [(None, "-"), (0, "-"), (999, "999 B"), (64 << 20, "67.1 MB"), (10**12, "1.0 TB")],
)
def test_sizes_are_those_on_the_label_of_a_drive(number: int | None, text: str) -> None:
    assert size(number) == text


def test_a_table_of_wide_characters_is_straight() -> None:
    screen = Screen({"COLUMNS": "40"})
    rows = [["倉庫" * 20, "x"], ["e\u0301t\u00e9", "y"]]
    lines = screen.table(("A", "B"), rows, flexible=0).splitlines()
    assert {wide(line) for line in lines[1:]} == {40}


NOT_NEEDED = {"pydantic", "quart", "asyncio", "rich", "h11", "ssl", "email", "dataclasses"}
NOT_NEEDED |= {"shutil", "pathlib", "inspect", "urllib.parse", "logging", "subprocess"}


@pytest.mark.parametrize("words", [["--version"], ["pools", "list"], ["drives", "--json"]])
def test_starting_loads_little(words: list[str]) -> None:
    """Importing takes most of the time of a command."""
    code = (
        "import sys, os\nos.environ['BACKY_RUNTIME_DIR'] = '/nowhere'\n"
        "from backy_core.cli.main import main\n"
        f"try:\n    main({words!r})\nfinally:\n    print(*sys.modules)"
    )
    program = [sys.executable, "-S", "-c", f"import sys; sys.path += {sys.path!r}\n{code}"]
    shown = subprocess.run(program, capture_output=True, text=True, check=True)
    loaded = set(shown.stdout.splitlines()[-1].split())
    assert NOT_NEEDED & loaded == set()
    if words == ["--version"]:
        assert "argparse" not in loaded
