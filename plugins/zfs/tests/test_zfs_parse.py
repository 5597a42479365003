"""Real outputs of OpenZFS 2.1.11 and zfs-fuse 0.7, and damaged forms of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from backy_zfs import parse
from hypothesis import given
from hypothesis import strategies as st

SAMPLES = Path(__file__).parent / "samples"
TEXTS = {path.name: path.read_text() for path in sorted(SAMPLES.iterdir())}
STATUS = {name: text for name, text in TEXTS.items() if name.endswith(".status")}


@pytest.mark.parametrize("name", STATUS)
def test_every_sample_is_one_pool_with_its_members(name: str) -> None:
    (pool,) = parse.parse_status(STATUS[name])
    assert pool.name and pool.state and pool.rows
    assert all(row.state.isupper() for row in pool.rows)


def test_rows_know_their_vdev_and_what_they_were() -> None:
    (pool,) = parse.parse_status(TEXTS["openzfs-raidz1-unavail.status"])
    assert [(row.name, row.state, row.within) for row in pool.rows] == [
        ("virtio-ZS0", "ONLINE", ("raidz1-0",)),
        ("virtio-ZS1", "ONLINE", ("raidz1-0",)),
        ("16529621819770462465", "UNAVAIL", ("raidz1-0",)),
        ("vdd", "AVAIL", ("spares",)),
    ]
    assert pool.rows[2].known_as == {"16529621819770462465", "virtio-ZS2"}
    assert pool.status.startswith("One or more devices could not be used")


def test_zfs_fuse_calls_every_scan_a_scrub() -> None:
    (pool,) = parse.parse_status(TEXTS["fuse-mirror-replaced.status"])
    assert pool.scan.startswith("resilver completed")
    assert pool.rows[1].note == "40.8M resilvered"
    assert pool.rows[1].known_as == {"ubd-LABSER3"}


@pytest.mark.parametrize(
    ("scan", "percent", "minutes"),
    [
        ("0B resilvered, 0.00% done, no estimated completion time", 0.0, None),
        ("1.5G resilvered, 31.25% done, 01:30:30 to go", 31.25, 90.5),
        ("5T scanned, 3.00% done, 2 days 01:00:00 to go", 3.0, 2940.0),
        ("resilver in progress for 0h1m, 42.10% done, 1h5m to go", 42.1, 65.0),
        ("none requested", None, None),
    ],
)
def test_progress(scan: str, percent: float | None, minutes: float | None) -> None:
    assert parse.progress(scan) == (percent, minutes)


def test_a_label() -> None:
    label = parse.parse_label(TEXTS["openzfs-mirror-a.label"])
    assert label is not None
    assert (label.txg, label.state) == (15, 0)
    assert (label.top_type, label.tops) == ("mirror", 1)
    assert [(parse.short(child.path), child.guid) for child in label.children] == [
        ("virtio-LABSER0", "12222182766464564809"),
        ("virtio-LABSER1", "15615058799986513753"),
    ]


def test_what_is_no_label() -> None:
    assert parse.parse_label("failed to unpack label 0\n") is None
    assert parse.parse_label("") is None


@given(st.sampled_from(sorted(TEXTS)), st.data())
def test_damaged_outputs_give_less_and_never_an_error(name: str, data: st.DataObject) -> None:
    text = TEXTS[name]
    cut = data.draw(st.integers(0, len(text)))
    junk = data.draw(st.text(max_size=20))
    until = data.draw(st.integers(cut, len(text)))
    mangled = text[:cut] + junk + text[until:]
    for pool in parse.parse_status(mangled):
        parse.progress(pool.scan)
    parse.parse_label(mangled)
