"""Real outputs of OpenZFS 2.1.11 and 2.3.2 and of zfs-fuse 0.7, and damaged forms of them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from backy_zfs import labels, status
from backy_zfs.status import Scan
from hypothesis import given
from hypothesis import strategies as st

SAMPLES = Path(__file__).parent / "samples"
TEXTS = {path.name: path.read_text() for path in sorted(SAMPLES.iterdir())}
STATUS = {name: text for name, text in TEXTS.items() if name.endswith(".status")}
JSON = {name: text for name, text in TEXTS.items() if name.endswith(".json")}


@pytest.mark.parametrize("name", STATUS)
def test_every_text_is_one_pool_with_its_members(name: str) -> None:
    (pool,) = status.parse_text(STATUS[name])
    assert pool.name and pool.state and pool.rows and not pool.guid
    assert all(row.state.isupper() for row in pool.rows)


@pytest.mark.parametrize("name", JSON)
def test_every_json_is_one_pool_whose_members_have_guids(name: str) -> None:
    (pool,) = status.parse_json(JSON[name], 0).pools
    assert pool.name and pool.state and pool.rows and pool.guid.isdecimal()
    replaced = [row.known_as for row in pool.rows if not row.guid]
    assert replaced == ([{"old"}] if "replaced-by-itself" in name else [])


def test_a_member_replaced_by_a_drive_of_the_same_path() -> None:
    (pool,) = status.parse_json(TEXTS["openzfs23-mirror-replaced-by-itself.json"], 0).pools
    replacing = ("mirror-0", "replacing-1")
    assert [(row.state, row.within, row.last) for row in pool.rows[1:]] == [
        ("", replacing, False),
        ("ONLINE", replacing, True),
    ]


def test_both_forms_tell_the_same() -> None:
    (text,) = status.parse_text(TEXTS["openzfs23-mirror-log-cache.status"])
    (reported,) = status.parse_json(TEXTS["openzfs23-mirror-log-cache.json"], 0).pools
    assert (reported.name, reported.state, reported.status) == (text.name, text.state, text.status)
    assert [row.last for row in reported.rows] == [row.last for row in text.rows]
    assert [row.within for row in text.rows] == [("mirror-0",)] * 2 + [("logs",), ("cache",)]
    assert [row.within for row in reported.rows] == [("mirror-0",)] * 2 + [("logs",), ("l2cache",)]
    assert all(
        old.known_as <= new.known_as for old, new in zip(text.rows, reported.rows, strict=True)
    )
    assert (text.rows[1].state, reported.rows[1].state) == ("UNAVAIL", "CANT_OPEN")
    assert "virtio-drive-scsi3" in reported.rows[1].known_as, "what it was"


def test_a_spare_in_use_and_one_that_failed() -> None:
    (pool,) = status.parse_json(TEXTS["openzfs23-raidz1-spare-in-use.json"], 0).pools
    assert [(row.state, row.within) for row in pool.rows[1:3]] == [
        ("ONLINE", ("raidz1-0", "spare-1"))
    ] * 2
    assert (pool.rows[-1].state, pool.rows[-1].within) == ("INUSE", ("spares",))
    assert pool.scan.kind == "resilver"
    (pool,) = status.parse_json(TEXTS["openzfs23-raidz1-faulted.json"], 0).pools
    assert pool.rows[0].state == "FAULTED"


def _scanning(**changed: str) -> str:
    text = TEXTS["openzfs23-mirror-scrubbing.json"]
    for name, value in changed.items():
        head, rest = text.split(f'"{name}":"', 1)
        text = f'{head}"{name}":"{value}"{rest[rest.index(chr(34)) + 1 :]}'
    return text


def test_progress_in_json() -> None:
    """Half of 1000 bytes done, all in this pass of 60 s, of which 30 paused: 30 s to go."""
    half = {"to_examine": "1200", "skipped": "200", "issued": "500"}
    text = _scanning(
        **half, issued_bytes_per_scan="500", pass_start="1000", scrub_spent_paused="30"
    )
    (pool,) = status.parse_json(text, 1060.0).pools
    assert pool.scan == Scan("scrub", 50.0, 0.5)
    (pool,) = status.parse_json(_scanning(to_examine="0", skipped="0"), 1060.0).pools
    assert pool.scan == Scan("scrub")


def test_rows_know_their_vdev_and_what_they_were() -> None:
    (pool,) = status.parse_text(TEXTS["openzfs-raidz1-unavail.status"])
    assert [(set(row.known_as), row.state, row.within) for row in pool.rows] == [
        ({"virtio-ZS0"}, "ONLINE", ("raidz1-0",)),
        ({"virtio-ZS1"}, "ONLINE", ("raidz1-0",)),
        ({"16529621819770462465", "virtio-ZS2"}, "UNAVAIL", ("raidz1-0",)),
        ({"vdd"}, "AVAIL", ("spares",)),
    ]
    assert pool.status.startswith("One or more devices could not be used")


def test_a_scan_that_is_over_is_none() -> None:
    (pool,) = status.parse_text(TEXTS["fuse-mirror-replaced.status"])
    assert pool.scan == Scan(), "it is completed"
    assert pool.rows[1].known_as == {"ubd-LABSER3"}


@pytest.mark.parametrize(
    ("text", "percent", "minutes"),
    [
        ("0B resilvered, 0.00% done, no estimated completion time", 0.0, None),
        ("1.5G resilvered, 31.25% done, 01:30:30 to go", 31.25, 90.5),
        ("5T scanned, 3.00% done, 2 days 01:00:00 to go", 3.0, 2940.0),
        ("for 0h1m, 42.10% done, 1h5m to go", 42.1, 65.0),
        ("and nothing else", None, None),
    ],
)
def test_progress(text: str, percent: float | None, minutes: float | None) -> None:
    assert status.progress(f"resilver in progress {text}") == Scan("resilver", percent, minutes)
    assert status.progress(text) == Scan()


def test_a_label() -> None:
    label = labels.parse_label(TEXTS["openzfs-mirror-a.label"])
    assert label is not None
    assert (label.txg, label.state) == (15, 0)
    assert (label.top_type, label.tops) == ("mirror", 1)
    assert [(labels.short(child.path), child.guid) for child in label.children] == [
        ("virtio-LABSER0", "12222182766464564809"),
        ("virtio-LABSER1", "15615058799986513753"),
    ]


def test_what_is_no_label() -> None:
    assert labels.parse_label("failed to unpack label 0\n") is None
    assert labels.parse_label("") is None


@given(st.sampled_from(sorted(TEXTS)), st.data())
def test_damaged_outputs_give_less_and_never_an_error(name: str, data: st.DataObject) -> None:
    text = TEXTS[name]
    cut = data.draw(st.integers(0, len(text)))
    junk = data.draw(st.text(max_size=20))
    until = data.draw(st.integers(cut, len(text)))
    mangled = text[:cut] + junk + text[until:]
    status.parse_text(mangled)
    labels.parse_label(mangled)
    with suppress(ValueError):
        status.parse_json(mangled, 0)
