"""Argument lists, character by character."""

from __future__ import annotations

import pytest
from backy_mdadm import argv
from backy_mdadm.naming import array_name

from .pools import DRIVES, GUID


def text(parts: tuple[object, ...]) -> str:
    return " ".join(
        part if isinstance(part, str) else f"<{getattr(part, 'ref', '?')}>" for part in parts
    )


@pytest.mark.parametrize(
    ("level", "count", "tail"),
    [
        ("raid1", 1, "--level=raid1 --raid-devices=1 --force --bitmap=internal <drive>"),
        ("raid1", 2, "--level=raid1 --raid-devices=2 --bitmap=internal <drive> <drive>"),
        ("raid0", 2, "--level=raid0 --raid-devices=2 <drive> <drive>"),
        ("raid5", 3, "--level=raid5 --raid-devices=3 --bitmap=internal" + 3 * " <drive>"),
        ("raid6", 4, "--level=raid6 --raid-devices=4 --bitmap=internal" + 4 * " <drive>"),
        ("raid10", 4, "--level=raid10 --raid-devices=4 --bitmap=internal" + 4 * " <drive>"),
    ],
)
def test_create(level: str, count: int, tail: str) -> None:
    assert text(argv.create(GUID, level, DRIVES[:count])) == (
        "mdadm --create /dev/md/backy-0a1b2c3d4e5f6071 --config=none --run"
        " --uuid=0a1b2c3d:4e5f6071:8293a4b5:c6d7e8f9 --name=backy-0a1b2c3d4e5f6071"
        f" --homehost=any --metadata=1.2 {tail}"
    )


def test_the_name_with_its_host_fits_into_a_superblock() -> None:
    assert len("any:" + array_name(GUID)) <= 31
