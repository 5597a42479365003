"""Reading mountinfo."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backy_core.system import mounts
from backy_core.system.mountinfo import (
    MountEntry,
    MountTree,
    mount_at,
    parse_mountinfo,
    unescape,
)
from backy_core.system.usage import Usage, filesystem_usage

SAMPLES = Path(__file__).parents[2] / "samples/system"

ESCAPED = {b" ": b"\\040", b"\t": b"\\011", b"\n": b"\\012", b"\\": b"\\134"}


def escape(raw: bytes) -> bytes:
    return b"".join(ESCAPED.get(bytes([byte]), bytes([byte])) for byte in raw)


paths = st.binary(max_size=30).map(lambda raw: b"/" + raw.replace(b"\0", b""))


@given(paths)
def test_escapes_are_undone(raw: bytes) -> None:
    assert unescape(escape(raw)).encode("utf-8", "surrogateescape") == raw


@given(paths, paths, st.sampled_from([b"", b"shared:1 ", b"master:2 ", b"unbindable "]))
def test_any_path_and_source_survive(path: bytes, source: bytes, tags: bytes) -> None:
    line = b"36 35 98:0 / %s rw,nosuid %s- ext4 %s rw,errors=continue\n"
    (entry,) = parse_mountinfo(line % (escape(path), tags, escape(source)))
    assert (entry.path.encode("utf-8", "surrogateescape"), entry.majmin) == (path, "98:0")
    assert entry.source.encode("utf-8", "surrogateescape") == source
    assert entry.fstype == "ext4"
    assert entry.options == {"rw", "nosuid", "errors=continue"}
    assert (entry.id, entry.parent) == (36, 35)
    assert entry.shared == ({"1"} if tags.startswith(b"shared") else set())
    assert entry.masters == ({"2"} if tags.startswith(b"master") else set())
    assert entry.super_options == {"rw", "errors=continue"}


@given(st.binary())
def test_garbage_is_left_out(text: bytes) -> None:
    for entry in parse_mountinfo(text):
        assert isinstance(entry.path, str)


@given(st.data())
def test_mangled_sample(data: st.DataObject) -> None:
    text = (SAMPLES / "proc-self-mountinfo").read_bytes()
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    assert len(parse_mountinfo(text[:start] + text[end:])) <= 9


def test_sample() -> None:
    entries = parse_mountinfo((SAMPLES / "proc-self-mountinfo").read_bytes())
    assert len(entries) == 9
    root = mount_at(entries, "/")
    assert root is not None
    assert (root.majmin, root.fstype, root.root) == ("0:18", "overlay", "/")
    assert "lowerdir=/" in root.options
    assert not root.shared and not root.masters


def test_topmost_mount_wins() -> None:
    entries = parse_mountinfo(
        b"1 0 8:1 / /mnt rw - ext4 /dev/sda1 rw\n"
        b"2 0 8:2 / /mnt rw - xfs /dev/sdb1 rw\n"
        b"3 0 8:2 /sub /other rw - xfs /dev/sdb1 rw\n"
    )
    top = mount_at(entries, "/mnt/")
    assert top is not None and top.source == "/dev/sdb1"
    assert mount_at(entries, "/mn") is None


def test_this_process_has_mounts_and_a_gone_one_none() -> None:
    assert mount_at(mounts.read_mounts(), "/proc") is not None
    assert mounts.read_mounts(2**22 + 1) == ()
    assert mounts.in_host_mount_namespace() in (True, False)


@pytest.mark.parametrize(
    ("used", "available", "percent"),
    [(0, 0, 0), (0, 10, 0), (1, 99, 1), (1, 999, 1), (50, 50, 50), (501, 499, 51), (10, 0, 100)],
)
def test_use_percent_rounds_up_as_df(used: int, available: int, percent: int) -> None:
    assert Usage(used + available, used, available).use_percent == percent


async def test_usage_of_a_path_that_is_gone() -> None:
    with pytest.raises(Exception, match="cannot be read"):
        await filesystem_usage("/nonexistent/path")


async def test_usage_that_hangs_is_an_error_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import threading

    release = threading.Event()
    calls: list[object] = []

    def hanging(path: str) -> None:
        calls.append(path)
        release.wait(30)
        raise OSError("too late")

    monkeypatch.setattr(os, "statvfs", hanging)
    try:
        for _ in range(6):
            with pytest.raises(Exception, match="does not answer"):
                await filesystem_usage("/mnt/hung", deadline_s=0.05)
        assert len(calls) == 4, "hung threads pile up"
    finally:
        release.set()


def _mount(number: int, parent: int, path: str, source: str = "x") -> MountEntry:
    return MountEntry("8:1", "/", path, frozenset(), "ext4", source, number, parent)


ROOT = _mount(1, 0, "/")
DATA = _mount(2, 1, "/srv/data")
POOL = _mount(3, 2, "/srv/data/pool")


@pytest.mark.parametrize(
    ("above", "covers"),
    [
        ([], None),
        ([_mount(4, 3, "/srv/data/pool/inner")], None),
        ([_mount(4, 1, "/srv/other"), _mount(5, 1, "/srv/data2")], None),
        ([_mount(4, 3, "/srv/data/pool")], 4),
        ([_mount(4, 2, "/srv/data")], 4),
        ([_mount(4, 1, "/srv")], 4),
        ([_mount(4, 1, "/srv"), _mount(5, 4, "/srv/data")], 4),
        # a copy of the tree, as of a recursive bind mount on top: another mount at the same path
        ([_mount(4, 2, "/srv/data"), _mount(5, 4, "/srv/data/pool")], 4),
        ([_mount(4, 1, "/")], 4),
    ],
)
def test_what_covers_a_mount(above: list[MountEntry], covers: int | None) -> None:
    for order in ([ROOT, DATA, POOL, *above], [*reversed(above), POOL, DATA, ROOT]):
        tree = MountTree(order)
        cover = tree.covers(POOL)
        assert (cover.id if cover else None) == covers


def test_a_mount_that_was_uncovered_again_is_reached() -> None:
    assert MountTree([ROOT, DATA, POOL, _mount(4, 2, "/srv/data")]).covers(POOL)
    assert not MountTree([ROOT, DATA, POOL]).covers(POOL)


@given(
    st.lists(
        st.builds(
            _mount, st.integers(0, 4), st.integers(0, 4), st.sampled_from(["/", "/a", "/a/b"])
        )
    )
)
def test_any_tree_can_be_asked(mounts: list[MountEntry]) -> None:
    tree = MountTree(mounts)
    for entry in mounts:
        tree.covers(entry)


@pytest.mark.parametrize(
    ("of_mount", "of_filesystem", "read_only", "gave_up"),
    [
        (b"rw", b"rw", False, False),
        (b"ro", b"ro", True, False),
        (b"ro", b"rw", True, False),
        (b"rw", b"ro", True, True),
        (b"rw", b"rw,emergency_ro", False, True),
        (b"rw", b"rw,shutdown", False, True),
    ],
)
def test_read_only_by_choice_and_by_error(
    of_mount: bytes, of_filesystem: bytes, read_only: bool, gave_up: bool
) -> None:
    (entry,) = parse_mountinfo(
        b"36 35 9:127 / /mnt %s,nosuid - ext4 /dev/md127 %s\n" % (of_mount, of_filesystem)
    )
    assert (entry.read_only, entry.gave_up) == (read_only, gave_up)
