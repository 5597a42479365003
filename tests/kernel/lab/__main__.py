"""The lab from the shell: `python -m tests.kernel.lab COMMAND`."""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

from .agent import AgentGuest
from .drives import Drive, numbered, parse_size
from .errors import LabError, LabUnavailable
from .guest import Guest
from .state import State
from .supervisor import AGENT_PORT
from .systems import SUITES, System, chosen

LIFETIME = 4 * 3600.0
"""Seconds after which a detached guest ends by itself."""
UNAVAILABLE, FAILED, TIMED_OUT = 69, 125, 124
"""Exit statuses of the lab's own failures (EX_UNAVAILABLE; those of timeout(1) and docker(1))."""


def main(argv: list[str]) -> int:
    """Run one command; its exit status."""
    given = _parser().parse_args(argv)
    try:
        return int(given.run(given))
    except LabUnavailable as error:
        print(f"lab: {error}", file=sys.stderr)
        return UNAVAILABLE
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return FAILED
    except TimeoutError:
        print("lab: The command did not end in time; it was killed.", file=sys.stderr)
        return TIMED_OUT


def _run(given: argparse.Namespace) -> int:
    keep: Path | None = given.keep
    path = keep or Path(tempfile.mkdtemp(prefix="backy-lab-"))
    try:
        drives = [replace(drive, bus="scsi" if given.scsi else drive.bus) for drive in given.drive]
        guest = Guest(
            path,
            drives,
            raid6=given.raid6,
            lifetime=given.timeout + 60,
            system=_system(given),
        )
        with guest:
            status = _stream(guest, given.command, given.timeout)
            guest.stop()
        return status
    finally:
        if keep is None:
            shutil.rmtree(path, ignore_errors=True)


def _up(given: argparse.Namespace) -> int:
    guest = AgentGuest(
        given.state or Path(tempfile.mkdtemp(prefix="backy-lab-")),
        _drives(given),
        port=given.port,
        raid6=given.raid6,
        lifetime=given.lifetime if given.lifetime is not None else LIFETIME,
        detached=given.detach,
        system=_system(given),
    )
    guest.start()
    serials = [drive.serial for drive in guest.spec.drives]
    line = {"url": guest.url, "apiKey": guest.api_key, "state": str(guest.state.path)}
    print(json.dumps({**line, "drives": serials}), flush=True)
    if not given.detach:
        _stay(guest)
    return 0


def _system(given: argparse.Namespace) -> System:
    return System(given.suite) if given.suite else chosen()


def _drives(given: argparse.Namespace) -> list[Drive]:
    known = State(given.state).drives() if given.state else []
    if not known:
        return numbered(given.drives or 6, parse_size(given.size or "256M"))
    if given.drives not in (None, len(known)):
        raise LabError(f"{given.state} holds {len(known)} drives; leave --drives out.")
    if given.size is not None and any(drive.size != parse_size(given.size) for drive in known):
        raise LabError(f"{given.state} holds drives of another size; leave --size out.")
    return known


def _stay(guest: AgentGuest) -> None:
    """Until SIGINT, SIGTERM or the guest's own end; then an orderly shutdown."""
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: asked.set())
    while not asked.wait(0.5):
        if guest.state.running() is None:
            raise LabError("The guest has ended.")
    guest.down()


def _exec(given: argparse.Namespace) -> int:
    return _stream(_attached(given), given.command, given.timeout)


def _unplug(given: argparse.Namespace) -> int:
    _attached(given).unplug(given.serial)
    return 0


def _plug(given: argparse.Namespace) -> int:
    _attached(given).plug(given.serial)
    return 0


def _agent(given: argparse.Namespace) -> int:
    _attached(given).agent(given.verb)
    return 0


def _cut(given: argparse.Namespace) -> int:
    _attached(given).cut()
    return 0


def _down(given: argparse.Namespace) -> int:
    _attached(given).down()
    return 0


def _attached(given: argparse.Namespace) -> AgentGuest:
    guest = AgentGuest(given.state, State(given.state).drives())
    assert guest.running
    return guest


def _stream(guest: Guest, command: list[str], timeout: float | None) -> int:
    return guest.stream(command, _Unbuffered(1), _Unbuffered(2), timeout=timeout)


class _Unbuffered:
    """A sink straight to one of our own descriptors."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: bytes, /) -> None:
        """Write all of the piece."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]


def _drive(text: str) -> Drive:
    serial, _, size = text.partition("=")
    try:
        return Drive(serial, parse_size(size or "256M"), bus="ubd")
    except LabError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.kernel.lab", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands)
    _add_up(commands)
    one = commands.add_parser("exec", help="run a command in a guest that is up")
    _state(one, _exec)
    one.add_argument(
        "--timeout", type=float, help="seconds without output after which it is killed"
    )
    one.add_argument("command", nargs="+", metavar="COMMAND")
    for name, action, what in (
        ("unplug", _unplug, "pull a drive, whoever uses it"),
        ("plug", _plug, "put a pulled drive back"),
    ):
        one = commands.add_parser(name, help=what)
        _state(one, action)
        one.add_argument("serial", metavar="SERIAL")
    one = commands.add_parser("agent", help="stop (SIGTERM), kill (SIGKILL) or start the agent")
    _state(one, _agent)
    one.add_argument("verb", choices=["stop", "kill", "start"])
    _state(commands.add_parser("cut", help="power cut"), _cut)
    _state(commands.add_parser("down", help="orderly shutdown"), _down)
    return parser


def _add_run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    one = commands.add_parser("run", help="a fresh guest, one command, its exit status")
    one.set_defaults(run=_run)
    one.add_argument("--drive", type=_drive, action="append", default=[], metavar="SERIAL=SIZE")
    one.add_argument(
        "--scsi", action="store_true", help="drives that can be pulled, as the conformance kit does"
    )
    one.add_argument("--keep", type=Path, metavar="DIR", help="keep images and console there")
    one.add_argument("--timeout", type=float, default=120.0, help="seconds, default 120")
    _booted(one)
    one.add_argument("command", nargs="+", metavar="COMMAND")


def _add_up(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    one = commands.add_parser("up", help="a guest with the agent in it, reachable on 127.0.0.1")
    one.set_defaults(run=_up)
    one.add_argument("--drives", type=int, metavar="N", help="how many, default 6")
    one.add_argument("--size", metavar="SIZE", help="of each, default 256M")
    one.add_argument("--port", type=int, default=AGENT_PORT, help="default 5151; 0: a free one")
    one.add_argument("--state", type=Path, metavar="DIR", help="what lasts from boot to boot")
    one.add_argument("--detach", action="store_true", help="return when the agent answers")
    one.add_argument("--lifetime", type=float, metavar="SECONDS", help="of the guest, default 4 h")
    _booted(one)


def _booted(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--suite", choices=SUITES, help="of Debian, default this machine's system")
    parser.add_argument(
        "--raid6", action="store_true", help="a kernel that can run RAID6 (0.9 s more)"
    )


def _state(parser: argparse.ArgumentParser, action: object) -> None:
    parser.set_defaults(run=action)
    parser.add_argument("--state", type=Path, required=True, metavar="DIR")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
