"""``backy serve`` as a command: its settings, and what it says if it cannot start."""

from __future__ import annotations

import argparse
import gc
import os
import sys

from backy_core.cli.exits import Exit
from backy_core.cli.refusal import status_of
from backy_core.cli.serve_flags import given_flags
from backy_core.config.settings import load_settings
from backy_core.sdk.errors import BackyError
from backy_core.system.text import escaped


def run_agent(arguments: argparse.Namespace) -> int:
    """Serve until it is stopped; the exit status."""
    # pydantic would look for plugins in everything that is installed, and run them as root.
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    gc.disable()  # imports leave nothing to collect, and looking costs a tenth of a start
    try:
        settings = load_settings(given_flags(arguments), os.environ)
        # The server's libraries take a second to import on a small machine; a mistyped
        # setting is told before that.
        from backy_core.cli.serve import serve

        serve(settings, os.environ)
    except BackyError as error:
        print(f"backy: {escaped(str(error))}", file=sys.stderr)
        if error.hint:
            print(f"backy: {escaped(str(error.hint))}", file=sys.stderr)
        return status_of(error)
    finally:
        gc.enable()
    return Exit.OK
