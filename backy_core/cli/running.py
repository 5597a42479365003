"""Run a command that is a client of the agent; say what went wrong, and what to do."""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys

from backy_core.cli.exits import OF_CODE, Exit
from backy_core.cli.session import Session
from backy_core.cli.stop import Stop
from backy_core.client.errors import ApiError, ClientError


def run_command(arguments: argparse.Namespace) -> int:
    """The exit status."""
    session = Session(arguments, os.environ)
    try:
        module, _, function = arguments.run.partition(":")
        imported = __import__(f"backy_core.cli.commands.{module}", fromlist=[function])
        gc.enable()
        status: Exit | None = getattr(imported, function)(session)
        sys.stdout.flush()
    except ApiError as error:
        _tell(session, error)
        return OF_CODE.get(error.code, Exit.FAILURE)
    except ClientError as error:
        session.complain(str(error), *session.where_to_look())
        return Exit.UNAVAILABLE
    except Stop as stop:
        session.complain(stop.message, *stop.advice)
        return stop.status
    except BrokenPipeError:  # of `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    return Exit.OK if status is None else status


def _tell(session: Session, error: ApiError) -> None:
    from backy_core.cli.wording import advice_for, in_commands

    if session.json:
        said = {"code": error.code, "message": error.message, "details": error.details}
        print(json.dumps({"error": said}), file=sys.stderr)
        return
    details = in_commands(error.details) if error.details else ""
    session.complain(in_commands(error.message), details, advice_for(error.code))
