"""Features that OpenZFS 2.1 lacks: in labels, in refused imports, and kept out of new pools."""

from __future__ import annotations

from pathlib import Path

import pytest
from backy_zfs import features, hooks
from backy_zfs.labels import Label, parse_label
from hypothesis import given
from hypothesis import strategies as st

from backy_core.sdk.models import DriveId, PoolSpec, Requirement
from backy_core.sdk.plan import Exec

SAMPLES = Path(__file__).parent / "samples"
GUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
DRIVES = tuple(DriveId(serial=letter, size=1 << 40) for letter in "AB")

READ = """cannot import 'tank': unsupported version or feature
This pool uses the following feature(s) not supported by this system:
\tcom.klarasystems:vdev_zaps_v2
"""
WRITE = """This pool uses the following feature(s) not supported by this system:
\tcom.fudosecurity:block_cloning (Support for block cloning via Block Reference Table.)
\torg.example:not_yet (What nobody has.)
All unsupported features are only required for writing to the pool.
The pool can be imported using '-o readonly=on'.
cannot import 'tank': unsupported version or feature
"""


def told(output: str) -> list[tuple[str, str | None]]:
    requirements = hooks.backy_explain(output=output)
    return [
        (requirement.feature.removeprefix("zpool feature "), requirement.tool_version)
        for requirement in requirements
    ]


def label(name: str) -> Label:
    label = parse_label((SAMPLES / name).read_text())
    assert label is not None
    return label


def test_labels_name_what_takes_more_than_2_1() -> None:
    old, new = label("openzfs-mirror-a.label"), label("openzfs23-mirror-a.label")
    assert old.features == ("com.delphix:hole_birth", "com.delphix:embedded_data")
    assert features.of_labels([old]) == ()
    assert features.of_labels([old, new, new]) == (
        Requirement(
            feature="zpool feature vdev_zaps_v2", tool="zfsutils-linux", tool_version="2.2"
        ),
    )
    assert features.of_labels([]) is None


@pytest.mark.parametrize(
    ("output", "named"),
    [
        (READ, [("vdev_zaps_v2", "2.2")]),
        (WRITE, [("block_cloning", "2.2"), ("not_yet", None)]),
        ("cannot import 'tank': no such pool available\n", []),
        ("", []),
    ],
)
def test_a_refused_import_names_what_is_lacking(output: str, named: list[tuple[str, str]]) -> None:
    assert told(output) == named


@given(st.text())
def test_no_output_breaks_it(text: str) -> None:
    assert len(features.backy_explain(f"{READ}{text}\n" * 3)) <= 70


def test_a_portable_pool_has_the_features_of_2_1_or_is_one_of_zfs_fuse() -> None:
    pool = PoolSpec(
        guid=GUID,
        label="cold",
        level="mirror",
        filesystem="zfs",
        fs_uuid=None,
        mount_path="/mnt/a",
        drives=DRIVES,
        portability="portable",
    )
    first, second, *_ = hooks.backy_plan_create(pool=pool, drives=DRIVES).steps
    assert isinstance(first.run, Exec) and isinstance(second.run, Exec)
    words = first.run.argv
    assert words[:3] == ("zpool", "create", "-d") and not first.expect
    assert "compatibility=openzfs-2.1-linux" in words and "feature@lz4_compress=enabled" in words
    last = words.index("feature@zstd_compress=enabled")
    assert (*words[:2], *words[last + 1 :]) == second.run.argv
    newer = {"zpool feature " + name for name in features.OF_OLDEST}
    assert newer.isdisjoint(
        requirement.feature
        for text in (READ, WRITE)
        for requirement in features.backy_explain(text)
    )
    assert second.if_satisfied == "skip" and second.expect
    (only, *_), native = first.undo, pool.model_copy(update={"portability": "native"})
    create, *_ = hooks.backy_plan_create(pool=native, drives=DRIVES).steps
    assert create.run == second.run and only == create.undo[0]
