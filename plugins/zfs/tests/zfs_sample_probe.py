"""A probe that shows one state of ``samples/``: real outputs of OpenZFS and zfs-fuse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from backy_zfs.inspect import zpools

from backy_core.sdk.models import DriveId, PoolReport, ProbedDrive, Signature, Unreadable

SAMPLES = Path(__file__).parent / "samples"
ZPOOL = "13660010131292710373"
MEMBERS = {"vda1": "12222182766464564809", "vdb1": "15615058799986513753"}


@dataclass(frozen=True)
class Outcome:
    code: int | None
    stdout: str
    stderr: str = ""


class SampleProbe:
    """One state. ``labels``: text by device; all devices have the pool's name."""

    newest, earlier = Outcome(0, ""), Outcome(1, "")
    """What opening a pool at rest comes to, in its newest state and in one that can be read."""
    states: Mapping[str, str] = {}
    """Uberblocks by device."""
    drives = tuple(
        ProbedDrive(
            name=f"vd{letter}",
            node=f"/dev/vd{letter}",
            id=DriveId(serial=f"LABSER{number}", size=1),
            links=(f"virtio-LABSER{number}",),
        )
        for number, letter in enumerate("ab")
    )

    def __init__(self, status: str, labels: dict[str, str], name: str = "tank") -> None:
        self._status = status
        self._labels = labels
        self.commands: list[tuple[str, ...]] = []
        self.signatures = tuple(
            Signature(
                device=device, type="zfs_member", uuid=ZPOOL, label=name, member=MEMBERS.get(device)
            )
            for device in labels
            for _ in range(3)
        )

    async def read(self, *paths: str) -> tuple[str | None, ...]:
        return tuple(None for _ in paths)

    async def listdir(self, path: str) -> tuple[str, ...]:
        return ()

    async def superblock(self, signature: Signature, length: int) -> bytes | None:
        raise AssertionError(f"unexpected read of {signature}")

    async def run(self, *argv: str) -> Outcome:
        self.commands.append(argv)
        if argv == ("zpool", "status"):
            return Outcome(0, self._status)
        if argv[:2] == ("zpool", "list"):
            return Outcome(0, f"tank\t{ZPOOL}\nm\t{ZPOOL}\n")
        if argv[:2] == ("zdb", "-e"):
            return self.newest
        if argv[:2] == ("zdb", "-F"):
            return self.earlier
        if argv[:3] == ("zdb", "-l", "-u"):
            return Outcome(0, self.states.get(argv[3].removeprefix("/dev/"), ""))
        assert argv[:2] == ("zdb", "-l"), argv
        return Outcome(0, self._labels[argv[2].removeprefix("/dev/")])


async def reports(probe: SampleProbe) -> tuple[PoolReport, ...]:
    return tuple(report for report in await zpools(probe) if isinstance(report, PoolReport))


async def unreadable(probe: SampleProbe) -> dict[str, str]:
    """Reasons by device."""
    return {
        report.device: report.reason
        for report in await zpools(probe)
        if isinstance(report, Unreadable)
    }


def sample(name: str) -> str:
    return (SAMPLES / name).read_text()


LABELS = {"vda1": sample("openzfs-mirror-a.label"), "vdb1": sample("openzfs-mirror-b.label")}


async def one(probe: SampleProbe) -> PoolReport:
    (report,) = await reports(probe)
    return report


def line(report: PoolReport) -> str:
    members = " ".join(f"{member.device or '-'}:{member.state}" for member in report.members)
    whole = "degraded" if report.degraded else "whole"
    return f"{report.level} {report.presence}/{report.health} {whole} [{members}]"


class FailingProbe(SampleProbe):
    """``zpool`` fails; the kernel lists ``modules`` below the module and has ``mounts``."""

    modules: tuple[str, ...] = ()
    mounts: str | None = None
    fails = True

    async def read(self, *paths: str) -> tuple[str | None, ...]:
        return tuple(self.mounts for _ in paths)

    async def listdir(self, path: str) -> tuple[str, ...]:
        return self.modules

    async def run(self, *argv: str) -> Outcome:
        outcome = await super().run(*argv)
        failing = self.fails and argv[0] == "zpool"
        return Outcome(1, "", "cannot open") if failing else outcome


def stamp(device: str, pool: str, member: str, name: str = "tank") -> Signature:
    return Signature(device=device, type="zfs_member", uuid=pool, label=name, member=member)


STRANGER = LABELS["vda1"].replace(ZPOOL, "999").replace("LABSER", "OTHER")
