"""A probe that shows one state of ``samples/``: real outputs of Linux 6.1 and mdadm 4.2.

``linux612`` is Linux 6.12 with mdadm 4.4 (Debian 13), ``linux72`` Linux 7.2 with mdadm 4.6: those
say ``broken`` in mdstat, and 7.2 has ``bitmap_type`` and ``logical_block_size``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from backy_mdadm.inspect import arrays
from backy_mdadm.naming import SIGNATURE
from backy_mdadm.parse import dashed

from backy_core.sdk.models import PoolReport, ProbedDrive, Signature, Unreadable

SAMPLES = Path(__file__).parent / "samples"


@dataclass(frozen=True)
class Outcome:
    """The outcome of a command."""

    code: int | None
    stdout: str
    stderr: str = ""


class SampleProbe:
    """Files and superblocks of one state.

    The older samples lack ``block/size``, the sign that a member is still in the machine; here
    it is present unless the device is ``gone``. A member without an ``.examine`` file has the UUID
    of the running array.
    """

    drives: tuple[ProbedDrive, ...] = ()

    def __init__(self, state: str, gone: tuple[str, ...] = ()) -> None:
        self.files = {"/proc/mdstat": (SAMPLES / f"md-{state}.mdstat").read_text()}
        for path in sorted(SAMPLES.glob(f"md-{state}.md*.sysfs")):
            self._load(path, path.name.split(".")[1], gone)
        self.blocks = {
            path.name.split(".")[1]: path.read_text()
            for path in sorted(SAMPLES.glob(f"md-{state}.*.examine"))
        }
        self.signatures = tuple(self._signatures(gone))
        self.commands: list[tuple[str, ...]] = []
        self.waits = False
        """mdstat does not answer."""
        self.superblocks: dict[str, bytes] = {}

    def _load(self, path: Path, array: str, gone: tuple[str, ...]) -> None:
        base = f"/sys/block/{array}"
        for line in path.read_text().splitlines():
            name, _, value = line.partition(":")
            self.files[f"{base}/{name}"] = value + "\n"
            member = re.match(r"md/dev-([^/]+)/slot", name)
            if member and member[1] not in gone:
                self.files[f"{base}/md/dev-{member[1]}/block/size"] = "522240\n"

    def _signatures(self, gone: tuple[str, ...]) -> list[Signature]:
        signatures = {}
        for name in self.files:
            member = re.match(r"/sys/block/(md\d+)/md/dev-([^/]+)/slot", name)
            if member and (uuid := dashed(self.files.get(f"/sys/block/{member[1]}/md/uuid", ""))):
                signatures[member[2]] = Signature(device=member[2], type=SIGNATURE, uuid=uuid)
        for device, text in self.blocks.items():
            stamp = re.search(r" UUID : ([0-9a-f:]{35})", text)
            label = re.search(r" Name : (\S+)", text)
            if stamp:
                signatures[device] = Signature(
                    device=device,
                    type=SIGNATURE,
                    uuid=dashed(stamp[1]),
                    label=label[1] if label else None,
                )
        return [signatures[device] for device in sorted(signatures) if device not in gone]

    async def read(self, *paths: str) -> tuple[str | None, ...]:
        if self.waits and "/proc/mdstat" in paths:
            raise TimeoutError
        return tuple(self.files.get(path) for path in paths)

    async def listdir(self, path: str) -> tuple[str, ...]:
        assert self.waits, "mdstat alone lists what there is"
        below = (name for name in self.files if name.startswith(path + "/"))
        directories = {name.removeprefix(path + "/").partition("/")[0] for name in below}
        return tuple(sorted(directories | ({"loop0", "sda"} if path == "/sys/block" else set())))

    async def superblock(self, signature: Signature, length: int) -> bytes | None:
        text = self.superblocks.get(signature.device)
        return text and text[:length]

    async def run(self, *argv: str) -> Outcome:
        """mdadm prints what it can and fails if one node has no superblock."""
        assert argv[:3] == ("mdadm", "--examine", "--config=none"), argv
        self.commands.append(argv)
        texts = [self.blocks.get(node.removeprefix("/dev/"), "") for node in argv[3:]]
        silent = (node for node, text in zip(argv[3:], texts, strict=True) if not text)
        words = "".join(f"mdadm: No md superblock detected on {node}.\n" for node in silent)
        return Outcome(0 if all(texts) else 1, "".join(texts), words)


async def reports(probe: SampleProbe) -> tuple[PoolReport, ...]:
    return tuple(report for report in await arrays(probe) if isinstance(report, PoolReport))


async def unreadable(probe: SampleProbe) -> dict[str, str]:
    """Reasons by device."""
    return {
        report.device: report.reason
        for report in await arrays(probe)
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
