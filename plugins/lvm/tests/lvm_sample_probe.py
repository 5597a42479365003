"""A probe that shows one state of ``samples/``: real reports of LVM 2.03.16.

``full-*`` hold every column and no hidden volumes, the others what the backend asks for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from backy_lvm.inspect import backy_inspect
from backy_lvm.parse import parse_report

from backy_core.sdk.models import DriveId, PoolReport, ProbedDrive, Signature, Unreadable

SAMPLES = Path(__file__).parent / "samples"


@dataclass(frozen=True)
class Outcome:
    """The outcome of a command."""

    code: int | None
    stdout: str
    stderr: str = ""


class SampleProbe:
    """Drives ``ubda`` to ``ubdf``; signatures as the report shows the members. ``extra`` are
    further signatures, device and UUID."""

    def __init__(self, state: str, *extra: tuple[str, str]) -> None:
        self.state = state
        self.text = (SAMPLES / f"{state}.json").read_text()
        self.code: int | None = 0
        self.drives = tuple(
            ProbedDrive(
                name=f"ubd{letter}",
                node=f"/dev/ubd{letter}",
                id=DriveId(serial=f"drive-{letter}", size=64 << 20),
            )
            for letter in "abcdef"
        )
        shown = re.findall(r'"pv_uuid":"([^"]+)".*?"pv_name":"/dev/([^"]+)"', self.text)
        self.signatures = tuple(
            Signature(device=device, type="LVM2_member", uuid=uuid)
            for device, uuid in (*((name, uuid) for uuid, name in shown), *extra)
        )
        self.files: dict[str, str] = {}
        self.held = {name for _, name in shown}
        """Devices that a mapping lies on."""
        self.commands: list[tuple[str, ...]] = []

    async def read(self, *paths: str) -> tuple[str | None, ...]:
        return tuple(self.files.get(path) for path in paths)

    async def listdir(self, path: str) -> tuple[str, ...]:
        if path.endswith("/holders"):
            return ("dm-9",) if path.split("/")[4] in self.held else ()
        assert path == "/sys/block"
        return tuple(name.split("/")[3] for name in self.files)

    async def superblock(self, signature: Signature, length: int) -> bytes | None:
        raise AssertionError(f"unexpected read of {signature}")

    async def run(self, *argv: str) -> Outcome:
        """The second time it is asked for one device alone, it gives that member's own view."""
        assert argv[:2] == ("lvm", "fullreport"), argv
        self.commands.append(argv)
        own = SAMPLES / f"{self.state}-own.json"
        if len(self.commands) > 1 and own.exists():
            return Outcome(0, own.read_text())
        stderr = SAMPLES / f"{self.state}.stderr"
        return Outcome(self.code, self.text, stderr.read_text() if stderr.exists() else "")


async def reports(probe: SampleProbe) -> tuple[PoolReport, ...]:
    return tuple(
        report for report in await backy_inspect(probe, None) if isinstance(report, PoolReport)
    )


async def unreadable(probe: SampleProbe) -> dict[str, str]:
    """Reasons by device."""
    return {
        report.device: report.reason
        for report in await backy_inspect(probe, None)
        if isinstance(report, Unreadable)
    }


def line(report: PoolReport) -> str:
    """A report in one line: presence/health, degraded or whole, members as device:slot:state."""
    members = " ".join(
        f"{member.device or '-'}:{'-' if member.slot is None else member.slot}:{member.state}"
        for member in report.members
    )
    whole = "degraded" if report.degraded else "whole"
    return f"{report.level} {report.presence}/{report.health} {whole} [{members}]"


def states() -> list[str]:
    return sorted(path.stem for path in SAMPLES.glob("*.json"))


def members_of(state: str) -> list[str]:
    groups = parse_report((SAMPLES / f"{state}.json").read_text())
    return [member.uuid for group in groups for member in group.members]
