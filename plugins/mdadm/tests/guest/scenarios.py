"""Lives of arrays on a real kernel, run as a module inside a lab guest, with their names.

Each plans with the backend's own hooks, runs the plans, and compares what inspect says.
"""

from __future__ import annotations

import sys
import time
import uuid
from pathlib import Path

from backy_mdadm import hooks

from backy_core.sdk.errors import Conflict
from backy_core.sdk.models import DriveId, PoolSpec

from .machine import Failed, Machine, command, drives, line, report_of, settle, wait_for, wipe

IDS = [drive.id for drive in drives()]
A, B, C, D, *_ = IDS
NODES = {drive.id: drive.node for drive in drives()}
SPEED = Path("/proc/sys/dev/raid/speed_limit_max")


class Life:
    """One pool from its creation to its teardown."""

    def __init__(self, level: str, *members: DriveId) -> None:
        self.pool = PoolSpec(
            guid=str(uuid.uuid4()),
            label="a label, of ünrestricted kind",
            level=level,
            filesystem="ext4",
            fs_uuid=str(uuid.uuid4()),
            mount_path="/mnt/pool",
            drives=members,
        )
        self.machine = Machine(self.pool)
        self.creation = hooks.backy_plan_create(pool=self.pool, drives=members)
        self.machine.run(self.creation)
        self.until("active/active")

    def expect(self, text: str) -> None:
        found = line(self.pool)
        assert found == text, f"{found} instead of {text}"
        print(f"-- {text}", flush=True)

    def until(self, start: str) -> None:
        wait_for(lambda: line(self.pool).startswith(start), 30, start)
        settle()

    def open(self, *, degraded: bool = False) -> None:
        report = report_of(self.pool)
        assert report
        self.machine.run(hooks.backy_plan_open(pool=self.pool, report=report, degraded=degraded))

    def close(self) -> None:
        report = report_of(self.pool)
        assert report
        self.machine.run(hooks.backy_plan_close(pool=self.pool, report=report))
        settle()

    def add(self, drive: DriveId, replaces: DriveId | None = None) -> None:
        report = report_of(self.pool)
        assert report
        self.machine.run(
            hooks.backy_plan_add_drive(
                pool=self.pool, report=report, drive=drive, replaces=replaces
            )
        )

    def write(self) -> None:
        """Write into the array, as a mounted filesystem would."""
        with Path(self.device).open("r+b") as device:
            device.write(uuid.uuid4().bytes * 4096)
        command("sync")

    @property
    def device(self) -> str:
        report = report_of(self.pool)
        assert report and report.device
        return f"/dev/{report.device}"

    def mdadm(self, *words: str) -> None:
        done = command("mdadm", *words)
        assert done.code == 0, done.stderr

    def pull(self, drive: DriveId) -> None:
        self.mdadm(self.device, "--fail", NODES[drive], "--remove", NODES[drive])

    def alone(self, drive: DriveId) -> None:
        """Use one half apart from the other."""
        self.mdadm("--assemble", "--run", "/dev/md/apart", NODES[drive])
        self.write()
        settle()

    def end(self) -> None:
        """Undo of the creation stops whatever bears the UUID, and wipes it."""
        self.machine.undo(self.creation.steps[0])
        for drive in IDS:
            wipe(NODES[drive])
        settle()
        assert line(self.pool) == "absent"
        assert " : " not in Path("/proc/mdstat").read_text().partition("\n")[2]


def levels() -> None:
    """Every level is made, stopped, stays stopped, and is assembled by its UUID."""
    for level in hooks.backy_backend().levels:
        print(f"== {level.name}", flush=True)
        members = IDS[: level.min_drives]
        life = Life(level.name, *members)
        life.close()
        assert line(life.pool).startswith("stopped/inactive")
        life.open()
        states = " ".join(f"ubd{'abcd'[at]}:{at}:active" for at in range(len(members)))
        life.expect(f"active/active [{states}]")
        report = report_of(life.pool)
        assert report and report.guid == life.pool.guid and not report.degraded
        life.end()


def members() -> None:
    """Members fail, leave, return and are replaced."""
    life = Life("raid1", A, B)
    life.mdadm(life.device, "--fail", NODES[B])
    life.expect("active/degraded [ubda:0:active ubdb:-:failed]")
    life.add(B)
    life.until("active/active [ubda:0:active ubdb:1:active]")
    life.pull(B)
    life.write()
    life.expect("active/degraded [ubda:0:active ubdb:1:stale]")
    life.close()
    life.open()
    life.add(B)
    life.until("active/active [ubda:0:active ubdb:1:active]")
    SPEED.write_text("2000")
    life.add(C, A)
    life.expect("active/recovering [ubda:0:active ubdc:0:rebuilding ubdb:1:active]")
    life.close()
    life.expect("stopped/inactive [ubda:0:active ubdc:0:rebuilding ubdb:1:active]")
    life.open()
    life.write()
    SPEED.write_text("200000")
    life.until("active/active [ubdc:0:active ubdb:1:active ubda:-:failed]")
    life.mdadm(life.device, "--fail", NODES[B])
    life.add(D, B)
    life.until("active/active [ubda:0:stale ubdc:0:active ubdb:1:stale ubdd:1:active]")
    life.end()


def apart() -> None:
    """Halves used apart are told from one that was merely left behind."""
    life = Life("raid1", A, B)
    life.close()
    life.alone(A)
    life.close()
    life.expect("stopped/inactive [ubda:0:active ubdb:1:stale]")
    life.alone(B)
    life.expect("active/degraded [ubda:0:diverged ubdb:1:active]")
    life.close()
    time.sleep(1)
    life.alone(B)
    life.close()
    life.expect("stopped/inactive [ubda:0:diverged ubdb:1:active]")
    try:
        life.open()
    except Conflict as refused:
        print(f"-- refused: {refused}", flush=True)
    else:
        raise AssertionError("opened though its members were used apart")
    life.open(degraded=True)
    life.expect("active/degraded [ubda:0:diverged ubdb:1:active]")
    life.add(A)
    life.until("active/active [ubda:0:active ubdb:1:active]")
    life.end()


def leftovers() -> None:
    """What udev or a refused start leaves inactive is cleared; degraded needs asking for."""
    life = Life("raid1", A, B)
    life.close()
    command("udevadm", "trigger", "--action=add", NODES[A])
    settle()
    life.expect("inactive/inactive [ubda:0:active ubdb:1:active]")
    life.open()
    life.expect("active/active [ubda:0:active ubdb:1:active]")
    life.close()
    wipe(NODES[B])
    try:
        life.open()
    except Failed as refused:
        print(f"-- refused: {refused}", flush=True)
    else:
        raise AssertionError("opened without a member that was active last")
    life.expect("inactive/inactive [ubda:0:active -:1:missing]")
    life.open(degraded=True)
    life.expect("active/degraded [ubda:0:active -:1:missing]")
    life.add(B)
    life.until("active/active [ubda:0:active ubdb:1:active]")
    life.end()


if __name__ == "__main__":
    SCENARIOS = (levels, members, apart, leftovers)
    for scenario in SCENARIOS:
        if scenario.__name__ in sys.argv[1:]:
            print(f"== {scenario.__name__}", flush=True)
            scenario()
