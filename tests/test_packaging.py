"""The shipped files, and that a clone has what its instructions promise."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from backy_core import __version__
from backy_core.config.settings import Settings

ROOT = Path(__file__).parents[1]
PLUGINS = sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))
PROJECTS = [ROOT, *PLUGINS]
TOP_LEVEL_FOLDERS = {"findings", "backy_core", "plugins", "tests", "docs", "packaging", ".ci"}


def project(folder: Path) -> dict[str, object]:
    table = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert isinstance(table, dict)
    return table


def requirements(folder: Path) -> list[Requirement]:
    table = tomllib.loads((folder / "pyproject.toml").read_text())
    listed = [*table["project"].get("dependencies", []), *table["build-system"]["requires"]]
    for extra in table["project"].get("optional-dependencies", {}).values():
        listed.extend(extra)
    return [Requirement(text) for text in listed]


def constraints() -> dict[str, list[str]]:
    """The pinned versions of each project: more than one where they differ by Python."""
    pinned: dict[str, list[str]] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            constraint = Requirement(line)
            (specifier,) = constraint.specifier
            name = constraint.name.lower().replace("_", "-")
            pinned.setdefault(name, []).append(specifier.version)
    return pinned


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Path]:
    """Each project's wheel by its folder, built with what is installed."""
    built = {}
    for folder in PROJECTS:
        target = tmp_path_factory.mktemp(folder.name)
        build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir"]
        subprocess.run([*build, str(target), str(folder)], check=True, capture_output=True)
        (built[folder],) = target.glob("*.whl")
    return built


def members(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def text_in(wheel: Path, ending: str) -> str:
    (name,) = [member for member in members(wheel) if member.endswith(ending)]
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(name).decode()


def test_the_core_wheel_holds_the_package_and_nothing_else(wheels: dict[Path, Path]) -> None:
    names = members(wheels[ROOT])
    assert {name.split("/")[0] for name in names} == {
        "backy_core",
        f"backy_core-{__version__}.dist-info",
    }
    shipped = {name for name in names if name.endswith(".py")}
    source = {str(path.relative_to(ROOT)) for path in (ROOT / "backy_core").rglob("*.py")}
    assert shipped == source
    assert "backy_core/py.typed" in names


def test_vendored_files_come_with_their_licence(wheels: dict[Path, Path]) -> None:
    static = {name for name in members(wheels[ROOT]) if "/static/" in name}
    on_disk = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "backy_core").rglob("static/**/*")
        if path.is_file()
    }
    assert static == on_disk
    assert not static or any("LICENSE" in name for name in static)


def test_the_core_wheel_says_what_it_is(wheels: dict[Path, Path]) -> None:
    metadata = Parser().parsestr(text_in(wheels[ROOT], "/METADATA"))
    assert metadata["Name"] == "backy-core"
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "Apache-2.0"
    entries = configparser.ConfigParser()
    entries.read_string(text_in(wheels[ROOT], "/entry_points.txt"))
    assert entries["console_scripts"]["backy"] == "backy_core.cli.main:main"


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_a_plugin_wheel_brings_its_entry_point(wheels: dict[Path, Path], folder: Path) -> None:
    entries = configparser.ConfigParser()
    entries.read_string(text_in(wheels[folder], "/entry_points.txt"))
    (group,) = (name for name in entries.sections() if name.startswith("backy."))
    assert group in ("backy.backends", "backy.listeners")
    assert entries[group][folder.name].startswith(f"backy_{folder.name}")
    packages = {name.split("/")[0] for name in members(wheels[folder])}
    assert [package for package in packages if not package.endswith(".dist-info")] == [
        f"backy_{folder.name}"
    ]


def test_an_installed_core_runs(wheels: dict[Path, Path], tmp_path: Path) -> None:
    with zipfile.ZipFile(wheels[ROOT]) as archive:
        archive.extractall(tmp_path)
    shown = subprocess.run(
        [sys.executable, "-m", "backy_core", "--version"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip() == f"backy {__version__}"


def test_installed_wheels_bring_every_plugin(wheels: dict[Path, Path], tmp_path: Path) -> None:
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*install, "--target", str(tmp_path), *map(str, wheels.values())], check=True)
    listing = (
        "from importlib.metadata import distributions as found;"
        f"print(*sorted(e.name for d in found(path=[{str(tmp_path)!r}]) for e in d.entry_points"
        " if e.group in ('backy.backends', 'backy.listeners') and e.load()))"
    )
    listed = subprocess.run(
        [sys.executable, "-c", listing],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout.split() == [folder.name for folder in PLUGINS]


def test_the_constraints_are_exact_and_name_no_address() -> None:
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        exact = r'[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.+!]*(; python_version [<>=]+ "3\.\d+")?'
        assert re.fullmatch(rf"{exact}|#.*|", line), line


@pytest.mark.parametrize("folder", PROJECTS, ids=lambda folder: folder.name)
def test_every_requirement_is_constrained_within_its_range(folder: Path) -> None:
    pinned = constraints()
    for requirement in requirements(folder):
        if requirement.name != "backy-core":
            versions = pinned.get(requirement.name.lower(), [])
            assert versions, f"{requirement.name} is not in constraints.txt"
            assert all(map(requirement.specifier.contains, versions)), requirement


def test_every_runtime_requirement_is_a_range() -> None:
    dependencies = project(ROOT)["dependencies"]
    assert isinstance(dependencies, list)
    for text in dependencies:
        operators = {it.operator for it in Requirement(text).specifier}
        assert operators == {">=", "<"}, text


def test_the_top_level_holds_what_it_should() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    folders = {name.split("/")[0] for name in listed if "/" in name}
    assert folders <= TOP_LEVEL_FOLDERS


def test_make_has_the_targets_that_are_documented() -> None:
    text = (ROOT / "Makefile").read_text()
    for target in (
        "install",
        "demo",
        "test",
        "check",
        "deb",
        "test-deb",
        "bench",
        "bench-udisks2",
        "clean",
    ):
        assert re.search(rf"^{target}:", text, re.MULTILINE), target


def test_ci_can_be_run() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_the_readme_opens_with_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text()
    first = re.search(r"```sh\n(.*?)```", text, re.DOTALL)
    assert first is not None
    commands = [line for line in first[1].splitlines() if line and not line.startswith("#")]
    assert len(commands) == 2
    assert [line.split("#")[0].strip() for line in commands] == ["make demo", "make test"]


def unit() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string((ROOT / "packaging" / "backy.service").read_text())
    return parser["Service"]


def test_the_unit_keeps_mounts_visible_to_the_host() -> None:
    """Each of these gives the service a mount namespace of its own (systemd.exec(5))."""
    hiding = re.compile(
        r"^(Private(Mounts|Tmp|Devices|Network|Users)|Protect\w+|ReadWritePaths|ReadOnlyPaths|"
        r"InaccessiblePaths|TemporaryFileSystem|Bind\w*Paths|Root(Directory|Image)|MountFlags|"
        r"DynamicUser)$"
    )
    assert [key for key in unit() if hiding.match(key)] == []


def test_the_unit_forbids_what_the_agent_does_not_need() -> None:
    """As systemd itself counts: 10 is an ordinary service, 0 one that can do nothing."""
    path = ROOT / "packaging" / "backy.service"
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", path],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    level = re.search(r"Overall exposure level for backy\.service: ([\d.]+)", rated)
    assert level is not None, "systemd-analyze is in Debian's package systemd (make install)"
    assert float(level[1]) <= 6.0
    assert "✗ MemoryDenyWriteExecute" not in rated and "✗ NoNewPrivileges" not in rated


def test_the_unit_hides_no_device_from_the_agent() -> None:
    """A device list takes away what appears later; ProtectClock= brings one (systemd.exec(5))."""
    assert not {"DeviceAllow", "DevicePolicy", "ProtectClock"} & set(unit())


def test_the_unit_lets_operations_end() -> None:
    service = unit()
    assert service["KillMode"] == "mixed", "children must not get the agent's SIGTERM"
    assert int(service["TimeoutStopSec"]) > Settings().shutdown_grace_s
