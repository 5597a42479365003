"""Options for portable filesystems, by the features that the installed mkfs lists."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from backy_core.operations import filesystems
from backy_core.system import exec
from backy_core.system.exec import Outcome
from backy_core.system.filesystem_features import read
from tests.fakes.parts import altered

UUID = "0d6c9f64-1111-4222-8333-94f1c0f3a001"
HELP = {
    # As xfsprogs 7.2, 6.13 and 6.1 and btrfs-progs 7.3 and 6.2 print it.
    "mkfs.xfs 7.2": "[-m crc=0|1,metadir=0|1] [-i nrext64=0|1,\n exchange=0|1] [-n parent=0|1]]",
    "mkfs.xfs 6.1": "[-i perblock=n|size=num,sparse=0|1,nrext64=0|1] [-n version=2|ci,ftype=0|1]]",
    "mkfs.btrfs 7.3": "block-group-tree    - block group tree (compat=6.1, safe=6.6, default=6.19)",
    "mkfs.btrfs 6.2": "zoned               - support zoned devices (compat=5.12)",
}


class Installed:
    """Programs of which a mkfs says this of itself."""

    def __init__(self, help: str) -> None:
        self.commands: list[tuple[str, ...]] = []
        self.programs = altered(exec, run=self._run)
        self._help = help

    async def _run(self, argv: tuple[str, ...], **how: object) -> Outcome:
        assert how["check"] is False
        self.commands.append(argv)
        return Outcome(argv, 1, "", HELP[self._help], 0.1)


@pytest.mark.parametrize(
    ("name", "help", "options"),
    [
        (
            "xfs",
            "mkfs.xfs 7.2",
            "-m metadir=0 -i nrext64=0 -i exchange=0 -n parent=0",
        ),
        ("xfs", "mkfs.xfs 6.1", "-i nrext64=0"),
        ("btrfs", "mkfs.btrfs 7.3", "-O ^block-group-tree"),
        ("btrfs", "mkfs.btrfs 6.2", ""),
    ],
)
async def test_what_the_mkfs_knows_is_switched_off(name: str, help: str, options: str) -> None:
    mkfs = Installed(help)
    assert " ".join(await filesystems.options(mkfs.programs, name, "portable")) == options
    assert [argv[0] for argv in mkfs.commands] == [f"mkfs.{name}"]
    assert await filesystems.options(mkfs.programs, name, "native") == ()
    assert len(mkfs.commands) == 1


async def test_ext4_is_made_with_named_features_alone() -> None:
    word, features = await filesystems.options(exec, "ext4", "portable")
    assert word == "-O" and features.startswith("none,") and "metadata_csum" in features
    assert "orphan_file" not in features and "metadata_csum_seed" not in features
    assert await filesystems.options(exec, "ext4", "native") == ()


@pytest.mark.parametrize("name", ["ext4", "xfs", "btrfs"])
async def test_the_installed_mkfs_takes_the_options(name: str, tmp_path: Path) -> None:
    """By whatever version this machine has; and what it makes opens on the oldest system."""
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(320 << 20)
    options = await filesystems.options(exec, name, "portable")
    argv = filesystems.make_argv(name, node=str(image), uuid=UUID, label="cold", options=options)
    search = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}
    subprocess.run(argv, env=search, check=True, capture_output=True)
    assert read(str(image), name) == ()
