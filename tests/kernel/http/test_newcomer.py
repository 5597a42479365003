"""A pool's life with the command line alone, as docs/cli.md shows it."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from ..lab import systems
from ..lab.drives import numbered
from .backends import MDADM, Backend
from .site import Site

BACKENDS = [MDADM]
DRIVES = numbered(4, 64 << 20)
ONE, TWO, THREE, FOUR = (drive.serial for drive in DRIVES)
PAGE = Path(__file__).parents[3] / "docs" / "cli.md"
WRITE = "BACKY_WRITE_TRANSCRIPT"
"""Set: write the transcript into the page instead of comparing it."""
_BLOCK = re.compile(r"(^```console\n)(.*?)(^```$)", re.MULTILINE | re.DOTALL)
_STEPS = re.compile(r"(?:^\[\d+/\d+\] .*\n)+(?=\[\d)", re.MULTILINE)
"""All but the last of an operation's steps: one that is short may not be seen."""
_SAME = (
    (
        re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        "3fa85f64-5717-4562-b3fc-2c963f66afa6",
    ),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d"), "2026-01-02 03:04"),
    (re.compile(r"\d{4}-\d\d-\d\d"), "2026-01-02"),
)


class Terminal:
    """Commands as they are typed in the guest, and what they print."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._backy = f"COLUMNS=80 {systems.chosen().python} -m backy_core"
        self.lines: list[str] = []

    def backy(self, words: str, *, typed: str = "", status: int = 0) -> str:
        """``typed`` answers a question, which only a terminal can."""
        command = f"{self._backy} {words} >/tmp/said 2>&1"
        if typed:
            command = f"echo {typed} | script -qec '{command}' /dev/null >/dev/null"
        ended = self._site.run(f"cd / && {command}; status=$?; cat /tmp/said; exit $status")
        said = ended.out.rstrip("\n")
        assert ended.rc == status, said
        if typed:
            said = re.sub(r"(to go on: )", rf"\1{typed}\n", said)
        self.say(f"# backy {words}", said)
        return said

    def say(self, *lines: str) -> None:
        self.lines += [*lines, ""]

    def transcript(self, guid: str) -> str:
        text = _STEPS.sub("", "\n".join(self.lines).rstrip() + "\n")
        text = re.sub(rf"\b{guid[:8]}\b(?!-)", "3fa85f64", text)
        for pattern, same in _SAME:
            text = pattern.sub(same, text)
        return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def test_a_newcomer_needs_nothing_else(site: Site, backend: Backend) -> None:
    terminal = Terminal(site)
    terminal.backy("drives")
    terminal.backy(f"pools create shelf {ONE} {TWO}")
    [pool] = site.get("/pools")
    guid = pool["poolGroupGuid"]
    _until(site, guid, "active")
    terminal.backy("pools")
    written = "echo 'still here' >/mnt/backy/shelf/letter"
    site.output(written)
    terminal.say(f"# {written}")

    site.output(f"mdadm --quiet /dev/{pool['mdDeviceName']} --fail {site.node(TWO)}")
    terminal.say(f"(Drive {TWO} breaks.)")
    _until(site, guid, "degraded")
    terminal.backy("pools show shelf")
    terminal.backy(f"pools replace shelf {TWO} {THREE}")
    _until(site, guid, "active")
    terminal.backy("pools show shelf")

    terminal.backy("pools unmount shelf")
    terminal.say("(The drives lie on the shelf, and are plugged in again.)")
    site.unplug(ONE, THREE)
    site.plug(ONE, THREE)
    terminal.backy("pools mount shelf")
    assert site.output("cat /mnt/backy/shelf/letter") == "still here"
    terminal.say("# cat /mnt/backy/shelf/letter", "still here")

    planned = site.done("DELETE", f"/pools/{guid}?dryRun=true&wipeCopies={TWO}")["plan"]["steps"]
    terminal.backy(f"pools delete shelf --wipe-copy {TWO}", typed="shelf")
    outputs = site.get(f"/pools/{guid}/outputs")["outputs"]
    commands = [line[2:] for line in outputs if line.startswith("$ ")]
    assert commands == [step["command"] for step in planned]
    terminal.backy("drives")
    _compare(terminal.transcript(guid))


def _until(site: Site, guid: str, health: str) -> None:
    deadline = time.monotonic() + 60 * site.guest.slower
    while site.get(f"/pools/{guid}")["poolStatus"] != health:
        assert time.monotonic() < deadline, site.get(f"/pools/{guid}")
        time.sleep(0.2)


def _compare(transcript: str) -> None:
    page = PAGE.read_text()
    if os.environ.get(WRITE):
        PAGE.write_text(_BLOCK.sub(lambda block: block[1] + transcript + block[3], page))
    else:
        [(_, shown, _)] = _BLOCK.findall(page)
        assert transcript == shown, f"set {WRITE}=1 to write it"
    assert max(map(len, transcript.splitlines())) <= 80
