"""Make a Debian suite for guests: `python -m tests.kernel.lab.suites SUITE PACKAGE...`.

mmdebstrap installs the packages into a directory, from Debian's signed archive. The agent's Python
dependencies come as wheels for the suite's own Python; the agent and its backends are installed as
editable, so that guests run the working tree. Nothing outside the directory is touched.
"""

import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .state import REPOSITORY
from .systems import System

_LEFT_OUT = ("doc", "locale", "man")
_SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
_BORROWED = {"forky": {"zfs-fuse": "trixie"}}
"""Packages of testing that do not work, and the suite whose package does: zfs-fuse 0.7.0-33 mounts
nothing, because libfuse 3 refuses two of its mount options."""
_PASSED_ON = ("Acquire::Check-Valid-Until", "Acquire::Retries", "Acquire::http")
"""What this machine's apt was told about reaching archives holds for the suite's as well."""
_BUILD = "import sys; from hatchling.build import build_editable as build; build(sys.argv[1])"
_TESTERS = ("pytest", "pytest-asyncio")
"""What tests need that run inside the guest."""
_PYTHON_OUTSIDE = """\
#!/bin/sh
# The suite's Python on the host, with the suite's C library.
root=$(dirname "$(readlink -f "$0")")
libraries=$root/usr/lib/x86_64-linux-gnu
exec "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" "$root/usr/bin/python3" "$@"
"""


def main(argv: list[str]) -> int:
    """Unpack the suite unless it is there, and bring its Python packages up to date."""
    system, packages = System(argv[0]), argv[1:]
    if not system.root.exists():
        _unpack(system, packages)
    _install(system)
    system.stamp.touch()
    return 0


def _unpack(system: System, packages: list[str]) -> None:
    partial = system.root.with_suffix(".partial")
    lenders = _BORROWED.get(system.suite, {})
    included = [
        f"{package}/{lenders[package]}" if package in lenders else package for package in packages
    ]
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        sources = [str(_source(suite, folder)) for suite in (system.suite, *set(lenders.values()))]
        subprocess.run(
            [
                *("mmdebstrap", "--quiet", "--variant=apt", "--format=directory"),
                *(f"--aptopt={option}" for option in _apt_options()),
                "--dpkgopt=force-unsafe-io",
                *(f"--dpkgopt=path-exclude=/usr/share/{left_out}/*" for left_out in _LEFT_OUT),
                *(f"--include={','.join(included)}", system.suite, str(partial), *sources),
            ],
            check=True,
        )
    partial.rename(system.root)


def _source(suite: str, folder: str) -> Path:
    """Write the archives of `suite`: this machine's own, with its suite's name replaced."""
    own = next(path for path in _SOURCES if path.exists())
    codename = platform.freedesktop_os_release()["VERSION_CODENAME"]
    source = Path(folder, suite).with_suffix(own.suffix)
    source.write_text(re.sub(rf"\b{codename}\b", suite, own.read_text()))
    return source


def _apt_options() -> list[str]:
    shown = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True)
    return [line for line in shown.stdout.splitlines() if line.startswith(_PASSED_ON)]


def _install(system: System) -> None:
    """By the suite's own pip, which takes the versions and wheels for its Python."""
    outside = Path(system.python_outside)
    outside.write_text(_PYTHON_OUTSIDE)
    outside.chmod(0o755)
    for earlier in system.root.glob("usr/local/lib/python3*/dist-packages"):
        shutil.rmtree(earlier)
    with tempfile.TemporaryDirectory() as wheels:
        for project in (REPOSITORY, *sorted(REPOSITORY.glob("plugins/*/"))):
            subprocess.run([sys.executable, "-c", _BUILD, wheels], cwd=project, check=True)
        subprocess.run(
            [
                *(outside, "-m", "pip", "install", "--quiet"),
                *("--break-system-packages", "--root-user-action=ignore"),
                *("--no-warn-script-location", "--only-binary=:all:", "--ignore-installed"),
                *("--constraint", REPOSITORY / "constraints.txt"),
                *sorted(Path(wheels).iterdir()),
                *_TESTERS,
            ],
            check=True,
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
