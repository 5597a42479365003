"""`python -m tests.kernel.lab`, command by command."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import pytest

from .lab.state import REPOSITORY
from .lab_helpers import STAND_IN, processes_in


def lab(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """`python -m tests.kernel.lab …`, with the stand-in as agent."""
    return subprocess.run(
        [sys.executable, "-m", "tests.kernel.lab", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "LAB_AGENT": " ".join(STAND_IN)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_shell_run(tmp_path: Path) -> None:
    keep = tmp_path / "kept"
    command = "lsblk -n -d -b -o SERIAL,SIZE /dev/ubda; echo err >&2; exit 9"
    done = lab("run", "--drive", "A1=64M", "--keep", str(keep), "--", "sh", "-c", command)
    assert (done.returncode, done.stdout.split(), done.stderr) == (
        9,
        ["A1", str(64 << 20)],
        "err\n",
    )
    assert (keep / "console.log").exists()
    late = lab("run", "--timeout", "2", "--", "sleep", "60")
    assert late.returncode == 124
    assert lab("run", "--drive", "A=lots", "--", "true").returncode == 2


def test_shell_up_until_interrupted(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "tests.kernel.lab", "up", "--drives", "1", "--port", "0"]
    up = subprocess.Popen(
        [*argv, "--state", str(tmp_path)],
        cwd=REPOSITORY,
        env={**os.environ, "LAB_AGENT": " ".join(STAND_IN)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert up.stdout is not None
    line = json.loads(up.stdout.readline())
    lab("exec", "--state", str(tmp_path), "--", "touch", "/etc/backy/kept")
    up.send_signal(signal.SIGINT)
    assert up.wait(60) == 0
    assert processes_in(tmp_path) == []
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(line["url"], timeout=5)


@pytest.mark.parametrize("where", ["/dev/shm", "/run", "/var/tmp"])
def test_clone_anywhere(where: str) -> None:
    with tempfile.TemporaryDirectory(prefix="backy clone ", dir=where) as folder:
        clone = Path(folder) / "clone"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / "tests/kernel", clone / "tests/kernel", ignore=ignored)
        (clone / "tests/__init__.py").touch()
        state = Path(folder) / "state"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.kernel.lab", "run", "--drive", "A1=64M"),
                *("--keep", str(state), "--", "ls", str(clone), "/dev/disk/by-id"),
            ],
            cwd=clone,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == ["/dev/disk/by-id:", "ubd-A1", *f"{clone}:".split(), "tests"]


def test_shell_life(tmp_path: Path) -> None:
    where = ("--state", str(tmp_path / "state with a space"))
    # capture_output reads to the end of file: a descriptor left open would hang it.
    up = lab("up", *where, "--drives", "2", "--size", "64M", "--port", "0", "--detach")
    assert up.returncode == 0, up.stderr
    line = json.loads(up.stdout)
    assert up.stdout.count("\n") == 1
    assert line["drives"] == ["drive-scsi1", "drive-scsi2"]
    try:
        with urllib.request.urlopen(line["url"] + "/api/v1/status", timeout=10) as reply:
            assert reply.status == 200
        done = lab("exec", *where, "--", "sh", "-c", "sleep 300 & cat /etc/backy/api-key; exit 5")
        assert (done.returncode, done.stdout.strip()) == (5, line["apiKey"])
        assert lab("exec", *where, "--", "pgrep", "-x", "sleep").returncode == 0
        present = ("exec", *where, "--", "sh", "-c", "ls /dev/disk/by-id/*drive-scsi2")
        assert lab("unplug", *where, "drive-scsi2").returncode == 0
        assert lab("exec", *where, "--", "udevadm", "settle").returncode == 0
        assert lab(*present).returncode != 0
        assert lab("plug", *where, "drive-scsi2").returncode == 0
        assert lab(*present).returncode == 0
        for verb in ("stop", "start", "kill", "start"):
            assert lab("agent", *where, verb).returncode == 0
        again = lab("up", *where, "--port", "0", "--detach")
        assert (again.returncode, "already running" in again.stderr) == (125, True)
    finally:
        assert lab("cut", *where).returncode == 0
    assert processes_in(tmp_path) == []

    other = lab("up", *where, "--drives", "3", "--port", "0", "--detach")
    assert (other.returncode, "holds 2 drives" in other.stderr) == (125, True)
    port = line["url"].rpartition(":")[2]
    second = lab("up", *where, "--port", port, "--detach")
    assert second.returncode == 0, second.stderr
    assert json.loads(second.stdout)["apiKey"] == line["apiKey"]
    assert lab("down", *where).returncode == 0
    assert processes_in(tmp_path) == []
    gone = lab("exec", *where, "--", "true")
    assert (gone.returncode, "No guest is running" in gone.stderr) == (125, True)
