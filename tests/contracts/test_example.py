"""The examples are distributions of their own: installed, found by their entry points, and tested.

The clean environment has the wheels of the core and of the examples, and borrows third parties'
packages from the environment the tests run in.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BACKEND = ROOT / "docs" / "examples" / "backy-btrfs"
LISTENER = ROOT / "docs" / "examples" / "backy-webhook"
_ASK = """
from pathlib import Path
import sys, backy_core
from backy_core.plugins.loading import load_backends
from backy_core.config.plugin_tables import PluginTables
TABLES = PluginTables(tables={"webhook": {"url": "https://monitor.example/backy"}})
assert Path(backy_core.__file__).is_relative_to(sys.prefix), backy_core.__file__
host = load_backends(tables=TABLES)
print(host.backends["btrfs"].origin, host.backends["btrfs"].info.delivers)
print(*(listener.name for listener in host.listeners))
"""


def output(*argv: str | Path, cwd: Path) -> str:
    """The output of a command that must succeed. Guests run the kernel's part."""
    asked_for = ("CI", "BACKY_REQUIRE_KERNEL", "PYTHONPATH")
    environment = {name: value for name, value in os.environ.items() if name not in asked_for}
    done = subprocess.run(
        argv,
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    return done.stdout


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment into which the three wheels were installed."""
    place = tmp_path_factory.mktemp("clean")
    for project in (ROOT, BACKEND, LISTENER):
        build = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir")
        output(*build, place / "wheels", project, cwd=place)
    output(sys.executable, "-m", "venv", "--without-pip", place / "venv", cwd=place)
    python = place / "venv" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index")
    output(*pip, *(place / "wheels").glob("*.whl"), cwd=place)
    folder = output(
        python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=place
    )
    # A path in a .pth file comes after the environment's own and brings no .pth files with it.
    (Path(folder.strip()) / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_the_agent_finds_the_installed_examples(clean: Path) -> None:
    told = output(clean, "-c", _ASK, cwd=clean.parent)
    assert told.split() == ["backy-btrfs", "0.1.0", "filesystem", "webhook"]


@pytest.mark.parametrize(
    ("project", "least_tests"), [(BACKEND, 30), (LISTENER, 3)], ids=["backend", "listener"]
)
def test_the_tests_of_the_installed_examples_pass(
    clean: Path, project: Path, least_tests: int
) -> None:
    options = ("-q", "-p", "no:cacheprovider", "-k", "not Reboot", "--rootdir", clean.parent)
    told = output(clean, "-m", "pytest", *options, project / "tests", cwd=clean.parent)
    passed = re.search(r"(\d+) passed", told)
    assert passed is not None
    assert int(passed[1]) >= least_tests
