"""Each verb of a pool's life against a shell script of the very commands the agent reported.

All in one guest, in turns, on the same two drives, alone or among other pools.
"""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from tests.bench import udisks
from tests.bench.figures import Comparison, Goal
from tests.bench.guests import Bench, Waiting, commands_of, without_wiping
from tests.bench.subjects import Kind, guest_options, make_others, other_drives, request
from tests.kernel.lab.agent import AgentGuest
from tests.kernel.lab.drives import Drive

_SCRIPT = "shell script, same commands"
_DRIVES = tuple(Drive(f"drive-bench{number}", bus="ubd") for number in (1, 2))
_LIFETIME_S = 7200.0
_SPARE = 2

ALL = ("create", "unmount", "mount", "delete")
_TITLES: Mapping[str, str] = MappingProxyType(
    {
        "create": "POST until ready",
        "unmount": "Unmount",
        "mount": "Mount",
        "delete": "Delete",
    }
)

Times = dict[str, float]


@dataclass(frozen=True)
class Case:
    """One pool to live, the goals of its verbs, and the other pools of the machine."""

    kind: Kind
    goals: Mapping[str, Goal]
    among: str = ""
    others: Sequence[Kind] = ()
    verbs: tuple[str, ...] = ALL


@dataclass
class _Sides:
    """The agent and the script, which follows it."""

    bench: Bench
    case: Case
    waiting: Waiting = field(default_factory=Waiting)
    commands: dict[str, list[str]] = field(default_factory=dict)

    def by_agent(self) -> Times:
        guid = str(uuid.uuid4())
        url = f"/pools/{guid}"
        times: Times = {}
        with self.bench.calls() as call:
            for verb in self.case.verbs:
                began = time.perf_counter()
                match verb:
                    case "create":
                        call("POST", "/pools", request(guid, self.case.kind, _DRIVES))
                        times[verb] = self.waiting.until_ready(call, [guid], began)
                    case "unmount":
                        call("DELETE", f"{url}/mount")
                    case "mount":
                        call("POST", f"{url}/mount", {"mountPath": None})
                    case "delete":
                        call("DELETE", url)
                times.setdefault(verb, (time.perf_counter() - began) * 1000)
                self.commands[verb] = commands_of(call, guid)
                self.bench.rest()
        self.commands["create"] = without_wiping(self.commands["create"])
        return times

    def by_script(self) -> Times:
        times: Times = {}
        for verb in self.case.verbs:
            times[verb] = self.bench.run_timed(self.commands[verb])
            self.bench.rest()
        return times


def compare(repetitions: int, case: Case, *, with_udisks: bool = False) -> list[Comparison]:
    others = other_drives(len(case.others), _SPARE if case.others else 0)
    options = guest_options((case.kind, *case.others))
    with (
        tempfile.TemporaryDirectory(prefix="backy-bench-") as directory,
        AgentGuest(Path(directory), (*_DRIVES, *others), lifetime=_LIFETIME_S, **options) as guest,
    ):
        bench = Bench(guest)
        make_others(bench, case.others, others)
        if with_udisks:
            udisks.start(guest)
        return _compare(_Sides(bench, case), repetitions, with_udisks=with_udisks)


def _compare(sides: _Sides, repetitions: int, *, with_udisks: bool) -> list[Comparison]:
    bench, case = sides.bench, sides.case
    turns: dict[str | None, Callable[[], Times]] = {
        "agent": sides.by_agent,
        None: sides.by_script,
    }
    if with_udisks:
        turns["udisks"] = lambda: {"create": udisks.create(bench.guest)}
    times: dict[str | None, list[Times]] = {name: [] for name in turns}
    for number in range(repetitions + 1):
        for name, turn in turns.items():
            with bench.turn_of(name):
                elapsed = turn()
            if number:  # the first turn of each warms the caches
                times[name].append(elapsed)

    def figures(name: str | None, verb: str) -> list[float]:
        return [turn[verb] for turn in times[name]]

    rows = [
        Comparison(
            f"{_TITLES[verb]}, {case.kind.title}{case.among}",
            _SCRIPT,
            "ms",
            figures("agent", verb),
            figures(None, verb),
            case.goals.get(verb, Goal()),
        )
        for verb in case.verbs
    ]
    if with_udisks:
        ours, theirs = figures("agent", "create"), figures("udisks", "create")
        goal = Goal(at_most=0.3)
        rows.append(Comparison(rows[0].what, "UDisks2 over D-Bus", "ms", ours, theirs, goal))
    return rows
