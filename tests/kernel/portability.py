"""Open pools made on one Debian on the others: `python -m tests.kernel.portability`.

One guest of each suite makes a pool of every kind, writes to it and unmounts it. Copies of the
drives then go to a guest of every suite, whose agent has never seen them: it must offer the pools,
import and mount them, and find the file as it was written. A pool that does not open where its
`opensOn` says that it does makes the whole fail. `--write` keeps the table in docs/portability.md.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from .http.backends import LVM, MDADM, Backend
from .http.site import Pool, Site
from .lab.agent import AgentGuest
from .lab.drives import Drive
from .lab.state import REPOSITORY, State
from .lab.systems import SUITES, System

_PAGE = REPOSITORY / "docs/portability.md"
_BEGIN, _END = "<!-- matrix -->", "<!-- end of matrix -->"
_SIZE = 400 << 20
_UNFORESEEN = "unforeseen"
_ANY = "0"
"""The kernel a pool needs of which nothing is said."""
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

    def __str__(self) -> str:
        return f"{self.backend.name} {self.level}, {self.filesystem}"

    @property
    def drives(self) -> list[Drive]:
        """Drives no other kind has."""
        count = {"raid1": 2, "raid5": 3}[self.level]
        name = f"{self.level}-{self.filesystem}"
        return [Drive(f"{name}-{number}", _SIZE) for number in range(1, count + 1)]


@dataclass(frozen=True)
class Made:
    """A pool that was made, the checksum of its file, and the kernel it is said to need."""

    request: dict[str, object]
    guid: str
    written: str
    kernel: str


Verdicts = dict[tuple[Kind, str, str], str]
"""Why a pool made on one suite does not open on another; empty where it does."""

KINDS = [
    Kind(backend, level, filesystem)
    for backend in (MDADM, LVM)
    for level in ("raid1", "raid5")
    for filesystem in ("ext4", "xfs", "btrfs")
]


def main(argv: list[str]) -> int:
    """Try everything and print the table; 0 if nothing opens or fails unforeseen."""
    parser = argparse.ArgumentParser(prog="python -m tests.kernel.portability", description=__doc__)
    parser.add_argument("--suites", nargs="+", choices=SUITES, default=SUITES, metavar="SUITE")
    parser.add_argument("--native", action="store_true", help="pools with the tools' own defaults")
    parser.add_argument("--write", action="store_true", help="keep the table in the docs")
    parser.add_argument("--only", default="", metavar="TEXT", help="kinds with this in their name")
    options = parser.parse_args(argv)
    kinds = [kind for kind in KINDS if options.only in str(kind)]
    verdicts: Verdicts = {}
    for maker in options.suites:
        for _, group in groupby(kinds, key=lambda kind: kind.backend.name):
            verdicts |= _carried(maker, options.suites, list(group), native=options.native)
    shown = table(kinds, options.suites, verdicts)
    print(shown)
    if options.write:
        before, _, rest = _PAGE.read_text().partition(_BEGIN)
        _PAGE.write_text(f"{before}{_BEGIN}\n\n{shown}\n\n{_END}{rest.partition(_END)[2]}")
    return 1 if any(_UNFORESEEN in verdict for verdict in verdicts.values()) else 0


def _carried(maker: str, openers: Iterable[str], kinds: list[Kind], *, native: bool) -> Verdicts:
    with tempfile.TemporaryDirectory(prefix="backy-lab-") as folder:
        origin = Path(folder, "made")
        made, failed = _make(origin, maker, kinds, "native" if native else "portable")
        verdicts = {(kind, maker, opener): failed[kind] for kind in failed for opener in openers}
        for opener in openers:
            target = Path(folder, opener)
            _copy(origin, target)
            for kind, verdict in _open_all(target, opener, kinds, made).items():
                verdicts[kind, maker, opener] = verdict
                _say(f"{kind}: {maker} to {opener}: {verdict or 'opens'}")
            shutil.rmtree(target)
        return verdicts


def _guest(path: Path, suite: str, kinds: Iterable[Kind]) -> AgentGuest:
    drives = [drive for kind in kinds for drive in kind.drives]
    return AgentGuest(path, drives, memory="768M", lifetime=3600, system=System(suite))


def _make(
    path: Path, suite: str, kinds: list[Kind], portability: str
) -> tuple[dict[Kind, Made], dict[Kind, str]]:
    made, failed = {}, {}
    with _guest(path, suite, kinds) as guest:
        site = Site(guest, Backend.flush)
        for kind in kinds:
            wanted = {
                "level": kind.level,
                "filesystem": kind.filesystem,
                "portability": portability,
            }
            serials = [drive.serial for drive in kind.drives]
            try:
                pool = site.made(*serials, backend=kind.backend.name, **wanted)
                pool.until_health("active")
                said = pool.detail()["opensOn"] or {"kernel": None}
                kernel = said["kernel"] or _ANY
                made[kind] = Made(pool.request, pool.guid, pool.write(), kernel)
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
        offered = {each["poolGroupGuid"] for each in site.get("/pools/importable")}
        linux = site.output("uname -r")
        verdicts = {}
        for kind, one in made.items():
            pool = Pool(site, one.guid, one.request)
            refused = _open(pool, one) if one.guid in offered else "not offered for import"
            foreseen = _number(one.kernel) <= _number(linux)
            if foreseen == bool(refused):
                refused = f"{refused or 'opens'} ({_UNFORESEEN}: opensOn has {one.kernel})"
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
