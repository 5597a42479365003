"""``backy``: parse, act, and turn failures into one line and an exit status.

Modules are imported where they are used: starting takes most of the time of most commands.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

from backy_core import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status, as :class:`exits.Exit` lists them."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words == ["--version"]:
        print(f"backy {__version__}")
        return 0
    gc.disable()  # until all is imported: nothing of it is garbage
    try:
        return _run(words)
    finally:
        gc.enable()


def _run(words: list[str]) -> int:
    from backy_core.cli.parser import build_parser

    if not words:
        build_parser().print_help()
        return 2
    arguments = build_parser(words).parse_args(words)
    if arguments.command == "serve":
        from backy_core.cli.serving import run_agent

        return run_agent(arguments)
    from backy_core.cli.running import run_command

    return run_command(arguments)
