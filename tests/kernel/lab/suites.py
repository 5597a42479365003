"""Make a Debian suite for guests: `python -m tests.kernel.lab.suites SUITE PACKAGE...`.

mmdebstrap installs the packages into a directory, from Debian's signed archive. The agent's Python
dependencies come as wheels for the suite's own Python; the agent and its backends are installed as
editable, so that guests run the working tree. Nothing outside the directory is touched.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .state import REPOSITORY
from .systems import System

_LEFT_OUT = ("doc", "locale", "man")
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
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [
            *("mmdebstrap", "--quiet", "--variant=apt", "--format=directory"),
            *(f"--aptopt={option}" for option in _apt_options()),
            "--dpkgopt=force-unsafe-io",
            *(f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in _LEFT_OUT),
            *(f"--include={','.join(packages)}", system.suite, str(partial)),
        ],
        check=True,
    )
    partial.rename(system.root)


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
