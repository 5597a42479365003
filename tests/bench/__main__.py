"""`python -m tests.bench [--udisks2] [--write] [--only mdadm,lvm,reads,start]`"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import (
    at_rest,
    command_line,
    events,
    followers,
    growth,
    life,
    machine,
    reads,
    startup,
    udisks,
)
from tests.bench.cases import CASES
from tests.bench.figures import Row, table
from tests.kernel.lab import requirements
from tests.kernel.lab.errors import LabUnavailable
from tests.kernel.lab.systems import chosen

_PAGE = Path(__file__).parents[2] / "docs/benchmarks.md"
_BEGIN, _END = "<!-- figures -->", "<!-- end of figures -->"


def main() -> int:
    options = _options()
    # An orderly end takes the guest and the servers along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.udisks2 and not udisks.installed():
        raise SystemExit("UDisks2 is not installed; `make bench-udisks2` installs it.")
    rows: list[Row] = []
    for part in options.only:
        _say(f"measuring: {part}")
        rows += _measured(part, options)
    report = _report(rows)
    print(report)
    if options.write:
        _write(report)
    missed = [row for row in rows if not row.met]
    for row in missed:
        _say(f"goal missed: {row.what}, {row.missed()}")
    return 0


Measure = Callable[[argparse.Namespace], Sequence[Row]]


def _case(name: str) -> Measure:
    return lambda options: life.compare(
        options.repetitions, CASES[name](), with_udisks=options.udisks2 and name == "mdadm"
    )


_IN_GUESTS: Mapping[str, Measure] = {
    **{name: _case(name) for name in CASES},
    "events": lambda options: events.measure(options.repetitions, 3),
    "rest": lambda options: at_rest.measure(options.repetitions),
    "events-many": lambda options: events.measure(options.repetitions, 40),
}
_HERE: Mapping[str, Measure] = {
    "reads": lambda options: reads.compare(options.repetitions),
    "start": lambda options: startup.compare(options.repetitions),
    "commands": lambda options: command_line.compare(options.repetitions),
    "followers": lambda options: followers.measure(options.repetitions),
    "growth": lambda options: growth.measure(options.repetitions),
}
_PARTS: Mapping[str, Measure] = {**_IN_GUESTS, **_HERE}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--udisks2", action="store_true", help="compare with UDisks2 as well")
    parser.add_argument("--write", action="store_true", help="keep the table in docs/benchmarks.md")
    parser.add_argument("--repetitions", type=int, default=10, metavar="N")
    parser.add_argument("--only", type=_parts, default=tuple(_PARTS), metavar="PART,…")
    return parser.parse_args()


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(text.split(","))
    if not set(parts) <= set(_PARTS):
        raise argparse.ArgumentTypeError(f"choose from {', '.join(_PARTS)}")
    return parts


def _measured(part: str, options: argparse.Namespace) -> Sequence[Row]:
    if part in _IN_GUESTS:
        try:
            requirements.check(chosen())
        except LabUnavailable as error:
            _say(f"{part} is left out: {error}")
            return []
    return _PARTS[part](options)


def _report(rows: Sequence[Row]) -> str:
    facts = "\n".join(f"- {fact}" for fact in machine.description())
    return f"{datetime.now(UTC):%Y-%m-%d}\n\n{facts}\n\n{table(rows)}"


def _write(report: str) -> None:
    before, _, rest = _PAGE.read_text().partition(_BEGIN)
    after = rest.partition(_END)[2]
    _PAGE.write_text(f"{before}{_BEGIN}\n\n{report}\n\n{_END}{after}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
