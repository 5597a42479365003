"""A minimal stand-in for the core inside a test guest: resolves references, runs plans, probes.

Only for a lab guest: it runs what it is given, as root.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from backy_mdadm import hooks

from backy_core.sdk.models import (
    DriveId,
    MemberReport,
    PoolReport,
    PoolSpec,
    ProbedDrive,
    Signature,
)
from backy_core.sdk.plan import (
    Arg,
    BackendPlan,
    Condition,
    DriveRef,
    Exec,
    Join,
    MemberIs,
    PoolIs,
    Step,
    WipeMember,
)


@dataclass(frozen=True)
class Outcome:
    code: int | None
    stdout: str
    stderr: str


def command(*argv: str) -> Outcome:
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, errors="replace"
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def drives() -> tuple[ProbedDrive, ...]:
    """Drives of the lab, by the serial that ubd or SCSI shows."""
    found = []
    for path in sorted(Path("/sys/block").iterdir()):
        serial = path / "serial"
        if not serial.exists():
            continue
        size = int((path / "size").read_text()) * 512
        name = path.name
        identity = DriveId(serial=serial.read_text().strip(), size=size)
        found.append(ProbedDrive(name=name, node=f"/dev/{name}", id=identity))
    return tuple(found)


class GuestProbe:
    """The SDK's Probe on a real kernel; counts the processes it starts."""

    def __init__(self) -> None:
        self.drives = drives()
        self.signatures = tuple(self._signatures())
        self.processes = 0

    def _signatures(self) -> list[Signature]:
        names = [line.split()[3] for line in Path("/proc/partitions").read_text().split("\n")[2:-1]]
        nodes = [f"/dev/{name}" for name in names if not name.startswith("md")]
        out = command(
            "wipefs", "--no-act", "--json", "--output", "DEVICE,OFFSET,TYPE,UUID,LABEL", *nodes
        ).stdout
        rows = json.loads(out)["signatures"] if out.strip() else []
        return [
            Signature(device=row["device"], type=row["type"], uuid=row["uuid"], label=row["label"])
            for row in rows
        ]

    async def read(self, *paths: str) -> tuple[str | None, ...]:
        return tuple(_text(path) for path in paths)

    async def listdir(self, path: str) -> tuple[str, ...]:
        return tuple(sorted(entry.name for entry in Path(path).iterdir()))

    async def run(self, *argv: str) -> Outcome:
        assert argv[:2] == ("mdadm", "--examine")
        self.processes += 1
        return command(*argv)


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text()
    except OSError:
        return None


def reports() -> tuple[PoolReport, ...]:
    """A fresh inspect, with drives filled in as the core does."""
    probe = GuestProbe()
    found = asyncio.run(_inspect(probe))
    names = {drive.name: drive.id for drive in probe.drives}

    def fill(member: MemberReport) -> MemberReport:
        name = (member.device or "").rstrip("0123456789")
        return member.model_copy(update={"drive": names.get(member.device or "", names.get(name))})

    return tuple(
        report.model_copy(update={"members": tuple(map(fill, report.members))}) for report in found
    )


async def _inspect(probe: GuestProbe) -> Sequence[PoolReport]:
    return await hooks.backy_inspect(probe=probe)


def report_of(pool: PoolSpec) -> PoolReport | None:
    return next((each for each in reports() if each.native_id == pool.identity), None)


class Failed(AssertionError):
    """A step did not do what it promised."""


@dataclass(frozen=True)
class Machine:
    """Runs the plans of one pool."""

    pool: PoolSpec

    def text(self, arg: Arg) -> str:
        if isinstance(arg, str):
            return arg
        if isinstance(arg, Join):
            return arg.sep.join(map(self.text, arg.parts))
        if isinstance(arg, DriveRef):
            return self.node(arg.drive) + (str(arg.part) if arg.part else "")
        report = report_of(self.pool)
        if report is None or report.device is None:
            raise Failed("no pool device")
        return f"/dev/{report.device}"

    def node(self, drive: DriveId) -> str:
        return next(each.node for each in drives() if each.id == drive)

    def run(self, plan: BackendPlan) -> None:
        BackendPlan.model_validate_json(plan.model_dump_json())
        for step in plan.steps:
            self.step(step)

    def step(self, step: Step) -> None:
        done = step.already == "skip" and step.expect and self.holds(step.expect)
        if done or not self.holds(step.when):
            print(f"  {step.id}: skipped", flush=True)
            return
        until = time.monotonic() + step.retry_s
        while (error := self.act(step.run)) and time.monotonic() < until:
            time.sleep(0.2)
        if error:
            raise Failed(f"{step.id}: {error}")
        wait_for(lambda: self.holds(step.expect), 10, f"{step.id} {report_of(self.pool)}")
        time.sleep(step.stable_s)
        assert self.holds(step.expect), f"{step.id} did not last"

    def act(self, action: object) -> str | None:
        if isinstance(action, WipeMember):
            wipe(self.node(action.drive))
            return None
        assert isinstance(action, Exec)
        argv = [self.text(arg) for arg in action.argv]
        started = time.monotonic()
        done = command(*argv)
        took = time.monotonic() - started
        print(f"  $ {' '.join(argv)} -> {done.code} ({took:.2f} s)", flush=True)
        print("".join(f"    {line}\n" for line in (done.stdout + done.stderr).splitlines()), end="")
        return None if done.code in action.ok_codes else done.stderr or "failed"

    def holds(self, conditions: Sequence[Condition]) -> bool:
        report = report_of(self.pool)
        presence = report.presence if report else "absent"
        for condition in conditions:
            if isinstance(condition, PoolIs) and presence != condition.presence:
                return False
            if isinstance(condition, MemberIs):
                members = report.members if report else ()
                states = [each.state for each in members if each.drive == condition.drive]
                if not set(states) & set(condition.states):
                    return False
        return True

    def undo(self, step: Step) -> None:
        for action in step.undo:
            try:
                self.act(action)
            except Failed as failure:
                print(f"  undo: {failure}", flush=True)


def wipe(node: str) -> None:
    """Erase one lab drive: version 1.2 superblocks lie at its head. Blank already is done."""
    with Path(node).open("r+b", buffering=0) as drive:
        if not drive.read(1 << 20).strip(b"\0"):
            return
        drive.seek(0)
        drive.write(bytes(1 << 20))
        os.fsync(drive.fileno())


def wait_for(check: Callable[[], bool], seconds: float, what: str) -> None:
    until = time.monotonic() + seconds
    while not check():
        if time.monotonic() > until:
            raise Failed(f"not so within {seconds} s: {what}")
        time.sleep(0.1)


def settle() -> None:
    command("udevadm", "settle", "--timeout=10")


def line(pool: PoolSpec) -> str:
    """A fresh report in one line: presence/health and members as device:slot:state."""
    report = report_of(pool)
    if report is None:
        return "absent"
    members = " ".join(
        f"{each.device or '-'}:{'-' if each.slot is None else each.slot}:{each.state}"
        for each in report.members
    )
    return f"{report.presence}/{report.health} [{members}]"
