"""Open pools made on one Debian on the others: `python -m tests.kernel.portability`.

One guest of each suite makes a pool of every kind, writes to it and unmounts it. Copies of the
drives then go to a guest of every suite, whose agent has never seen them: it must offer the pools,
import and mount them, and find the file as it was written. A pool that does not open where its
`opensOn` says that it does makes the whole fail. `--write` keeps the table in docs/portability.md.
With `--openzfs` the same for ZFS, portable and native, in that page's second table.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from .http.backends import LVM, MDADM, OPENZFS, Backend
from .http.machine import AnyGuest
from .http.site import Pool, Site
from .lab.drives import Drive
from .lab.state import REPOSITORY, State
from .lab.systems import SUITES, System

_PAGE = REPOSITORY / "docs/portability.md"
_SIZE = 400 << 20
_UNFORESEEN = "unforeseen"
_ANY = "0"
"""The version a pool needs of which nothing is said."""
_NAMES = {"bookworm": "Debian 12", "trixie": "Debian 13", "forky": "testing"}
_NOT_WORTH_TELLING = re.compile(
    r"pool-[0-9a-f]{4}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\bmd\d+\b|\bsd[a-z]+\b"
)


@dataclass(frozen=True)
class Kind:
    """One kind of pool, on drives of its own."""

    backend: Backend
    level: str
    filesystem: str
    portability: str = "portable"

    def __str__(self) -> str:
        filesystem = "" if self.backend is OPENZFS else f", {self.filesystem}"
        return f"{self.backend.name} {self.level}{filesystem}{self._native(', ')}"

    @property
    def drives(self) -> list[Drive]:
        """Drives no other kind has."""
        count = {"raid1": 2, "raid5": 3, "mirror": 2, "raidz1": 3}[self.level]
        name = f"{self.level}-{self.filesystem}{self._native('-')}"
        return [Drive(f"{name}-{number}", _SIZE) for number in range(1, count + 1)]

    @property
    def running(self) -> str:
        """The command that tells a machine's version of what decides whether it opens."""
        return "cat /sys/module/zfs/version" if self.backend is OPENZFS else "uname -r"

    def needs(self, opens_on: Mapping[str, Any] | None) -> str:
        """The least version of that, by what is said of a pool."""
        if opens_on is None or opens_on["kernel"] is None:
            return _ANY
        zfs = self.backend is OPENZFS
        return str(opens_on["tools"]["zfsutils-linux"] if zfs else opens_on["kernel"])

    def _native(self, joint: str) -> str:
        return "" if self.portability == "portable" else f"{joint}{self.portability}"


@dataclass(frozen=True)
class Made:
    """A pool that was made, the checksum of its file, and the version it is said to need."""

    request: dict[str, object]
    guid: str
    written: str
    needs: str


Verdicts = dict[tuple[Kind, str, str], str]
"""Why a pool made on one suite does not open on another; empty where it does."""

KINDS = [
    Kind(backend, level, filesystem)
    for backend in (MDADM, LVM)
    for level in ("raid1", "raid5")
    for filesystem in ("ext4", "xfs", "btrfs")
]
ZFS_KINDS = [
    Kind(OPENZFS, level, "zfs", portability)
    for level in ("mirror", "raidz1")
    for portability in ("portable", "native")
]


def main(argv: list[str]) -> int:
    """Try everything and print the table; 0 if nothing opens or fails unforeseen."""
    parser = argparse.ArgumentParser(prog="python -m tests.kernel.portability", description=__doc__)
    parser.add_argument("--suites", nargs="+", choices=SUITES, default=SUITES, metavar="SUITE")
    parser.add_argument("--native", action="store_true", help="pools with the tools' own defaults")
    parser.add_argument("--write", action="store_true", help="keep the table in the docs")
    parser.add_argument("--only", default="", metavar="TEXT", help="kinds with this in their name")
    parser.add_argument("--openzfs", action="store_true", help="zpools, in emulated machines")
    options = parser.parse_args(argv)
    kinds = ZFS_KINDS if options.openzfs else KINDS
    if options.native:
        kinds = list(dict.fromkeys(replace(kind, portability="native") for kind in kinds))
    kinds = [kind for kind in kinds if options.only in str(kind)]
    verdicts: Verdicts = {}
    for maker in options.suites:
        for _, group in groupby(kinds, key=lambda kind: kind.backend.name):
            verdicts |= _carried(maker, options.suites, list(group))
    shown = table(kinds, options.suites, verdicts)
    print(shown)
    if options.write:
        _keep(shown, "openzfs" if options.openzfs else "matrix")
    return 1 if any(_UNFORESEEN in verdict for verdict in verdicts.values()) else 0


def _keep(shown: str, name: str) -> None:
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, _, rest = _PAGE.read_text().partition(begin)
    _PAGE.write_text(f"{before}{begin}\n\n{shown}\n\n{end}{rest.partition(end)[2]}")


def _carried(maker: str, openers: Iterable[str], kinds: list[Kind]) -> Verdicts:
    with tempfile.TemporaryDirectory(prefix="backy-lab-") as folder:
        origin = Path(folder, "made")
        made, failed = _make(origin, maker, kinds)
        verdicts = {(kind, maker, opener): failed[kind] for kind in failed for opener in openers}
        for opener in openers:
            target = Path(folder, opener)
            _copy(origin, target)
            for kind, verdict in _open_all(target, opener, kinds, made).items():
                verdicts[kind, maker, opener] = verdict
                _say(f"{kind}: {maker} to {opener}: {verdict or 'opens'}")
            shutil.rmtree(target)
        return verdicts


def _guest(path: Path, suite: str, kinds: list[Kind]) -> AnyGuest:
    drives = [drive for kind in kinds for drive in kind.drives]
    backend = kinds[0].backend
    options = {"memory": "768M", "lifetime": 3600, "system": System(suite), **backend.guest}
    return backend.machine(path, drives, **options)


def _make(path: Path, suite: str, kinds: list[Kind]) -> tuple[dict[Kind, Made], dict[Kind, str]]:
    made, failed = {}, {}
    with _guest(path, suite, kinds) as guest:
        site = Site(guest, Backend.flush)
        for kind in kinds:
            wanted = {
                "level": kind.level,
                "filesystem": kind.filesystem,
                "portability": kind.portability,
            }
            serials = [drive.serial for drive in kind.drives]
            try:
                pool = site.made(*serials, backend=kind.backend.name, **wanted)
                pool.until_health("active")
                needs = kind.needs(pool.detail()["opensOn"])
                made[kind] = Made(pool.request, pool.guid, pool.write(), needs)
                pool.unmount()
            except AssertionError as error:
                failed[kind] = f"not made: {_short(str(error))}"
        guest.down()
    return made, failed


def _copy(origin: Path, target: Path) -> None:
    """The drives alone: the agent that opens them knows nothing of them."""
    target.mkdir()
    images = State(origin).path / "drives"
    copy = ["cp", "--recursive", "--sparse=always", str(images), str(target / "drives")]
    subprocess.run(copy, check=True)


def _open_all(
    path: Path, suite: str, kinds: list[Kind], made: Mapping[Kind, Made]
) -> dict[Kind, str]:
    with _guest(path, suite, kinds) as guest:
        site = Site(guest, Backend.flush)
        offered = {each["poolGroupGuid"]: each for each in site.get("/pools/importable")}
        running = site.output(kinds[0].running)
        verdicts = {}
        for kind, one in made.items():
            pool = Pool(site, one.guid, one.request)
            refused = _open(pool, one) if one.guid in offered else "not offered for import"
            foreseen = _number(one.needs) <= _number(running)
            foretold = offered.get(one.guid, {}).get("cannotOpenBecause")
            if foreseen == bool(refused):
                refused = f"{refused or 'opens'} ({_UNFORESEEN}: opensOn has {one.needs})"
            elif foretold and not refused:
                refused = f"opens ({_UNFORESEEN}: {_short(foretold)})"
            verdicts[kind] = refused
        guest.down()
    return verdicts


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _open(pool: Pool, made: Made) -> str:
    for step, path, body in (
        ("import", f"{pool.url}/import", {"label": "carried"}),
        ("mount", f"{pool.url}/mount", {"mountPath": pool.path}),
    ):
        reply = pool.site.call("POST", path, body)
        if reply.status_code != 200:
            return f"{step}: {_short(reply.json()['error']['message'])}"
    try:
        if pool.read() != made.written:
            return "mounted, but the file differs"
        pool.unmount()
    except AssertionError as error:
        return _short(str(error))
    return ""


def _short(message: str) -> str:
    return _NOT_WORTH_TELLING.sub("…", message).replace("|", "/").replace("\n", " ")[:400]


def table(kinds: list[Kind], suites: Sequence[str], verdicts: Verdicts) -> str:
    """A row for each kind and maker; each reason once, below."""
    reasons = list(dict.fromkeys(why for why in verdicts.values() if why))
    cells = {why: f"{_word(why)} ({number})" for number, why in enumerate(reasons, 1)}
    cells[""] = _word("")
    lines = [
        "| pool | made on | " + " | ".join(f"on {_NAMES[suite]}" for suite in suites) + " |",
        "|---|---|" + "---|" * len(suites),
    ]
    for kind in kinds:
        for maker in suites:
            row = " | ".join(cells[verdicts[kind, maker, opener]] for opener in suites)
            lines.append(f"| {kind} | {_NAMES[maker]} | {row} |")
    notes = [f"{number}. {why}" for number, why in enumerate(reasons, 1)]
    return "\n".join([*lines, "", *notes])


def _word(verdict: str) -> str:
    return "no" if verdict and not verdict.startswith("opens") else "opens"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
