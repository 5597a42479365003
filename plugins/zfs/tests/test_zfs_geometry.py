"""Requirements on a new member, by real and by invented labels."""

from __future__ import annotations

import pytest
from backy_zfs.geometry import member_size, sector_size
from backy_zfs.labels import Label, Size, parse_label

from .zfs_sample_probe import LABELS, SampleProbe, one, sample

MIB, LABEL_AREA = 1 << 20, 9 << 19


def label(kind: str, size: Size | None, top: int = 0, tops: int = 1, txg: int = 4) -> Label:
    return Label(txg, 0, tops, top, kind, (), size)


def size(drives: int, drive: int, shift: int, partitioned: bool = False) -> Size:
    """Of a vdev of drives that are whole members, as ``zdb`` prints it."""
    return Size((drive - LABEL_AREA) * drives, shift, 12, drives, partitioned)


def test_a_partitioned_drive_needs_room_for_its_table_too() -> None:
    """OpenZFS 2.1 on drives of 256 MiB, whose partition has 246."""
    label = parse_label(LABELS["vda1"])
    assert label and label.size == Size(253231104, 24, 12, 2, partitioned=True)
    least = member_size([label])
    # 15 metaslabs of 16 MiB and the labels, in whole MiB; then both partition tables.
    assert least == 245 * MIB + (2048 + 16384 + 33) * 512
    assert least <= 256 * MIB


@pytest.mark.parametrize(
    ("kind", "drives", "shift", "steps"),
    # Seen with zfs-fuse on drives of 160 MiB; the least is in steps of 256 KiB.
    [("mirror", 1, 20, 638), ("raidz1", 3, 22, 637), ("disk", 1, 20, 638)],
)
def test_the_last_metaslab_need_not_be_whole(
    kind: str, drives: int, shift: int, steps: int
) -> None:
    assert member_size([label(kind, size(drives, 160 * MIB, shift))]) == steps << 18


def test_what_is_not_known_of_every_vdev_is_left_to_zfs() -> None:
    large, small = size(1, 160 * MIB, 20), size(1, 130 * MIB, 20)
    first = label("disk", large, tops=2)
    assert member_size([first]) is None
    assert member_size([first, label("disk", None, 1, 2)]) is None
    assert member_size([label("draid1", large)]) is None and member_size([]) is None
    assert member_size([label("disk", large._replace(metaslab_shift=99))]) is None
    both = member_size([first, label("disk", small, 1, 2)])
    assert both == member_size([label("disk", small)]), "either may be the one that goes"


def test_the_newest_label_counts() -> None:
    old, new = size(1, 130 * MIB, 20), size(1, 160 * MIB, 20)
    labels = [label("disk", new, txg=9), label("disk", old, txg=4)]
    assert member_size(labels) == member_size(labels[:1])


def test_sectors_up_to_the_pools_own_are_hidden() -> None:
    size_before = size(1, 160 * MIB, 20)
    assert sector_size([label("disk", size_before)]) == 4096
    assert (
        sector_size([label("disk", size_before), label("disk", size_before._replace(ashift=9))])
        == 512
    )
    assert sector_size([label("disk", None)]) is None
    assert sector_size([label("disk", size_before._replace(ashift=400))]) is None


async def test_a_whole_running_pool_tells_both() -> None:
    report = await one(SampleProbe(sample("openzfs-mirror-online.status"), LABELS))
    assert report.member_size and report.sector_size == 4096
