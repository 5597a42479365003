"""What a remembered pool is called, and how backends are asked about it."""

from __future__ import annotations

from backy_core.sdk.models import DriveId, PoolReport
from backy_core.store.metadata import PoolEntry
from tests.fakes.agent import FS_UUID, GUID, OTHER

ENTRY = PoolEntry(
    guid=GUID,
    label="backup-1",
    level="raid1",
    filesystem="ext4",
    native_id=GUID,
    fs_uuid=FS_UUID,
    last_mount_path="/mnt/one",
    drive_serials=("A",),
    drive_ids=(DriveId(serial="A", size=1),),
)


def test_a_pool_without_a_label_is_called_by_its_guid() -> None:
    assert ENTRY.title == "backup-1"
    assert PoolEntry(guid=GUID).title == GUID


def test_backends_are_asked_about_what_is_remembered() -> None:
    spec = ENTRY.spec()
    assert (spec.guid, spec.native_id, spec.label, spec.level) == (GUID, GUID, "backup-1", "raid1")
    assert (spec.filesystem, spec.fs_uuid, spec.mount_path) == ("ext4", FS_UUID, "/mnt/one")
    assert spec.drives == ENTRY.drive_ids


def test_backends_are_asked_by_the_identity_that_was_seen() -> None:
    """The earlier agent's entries have none."""
    seen = PoolReport(
        native_id=OTHER,
        guid=None,
        level="raid1",
        presence="stopped",
        health="inactive",
        expected_members=1,
        members=(),
    )
    earlier = PoolEntry(guid=GUID, drive_serials=("A",))
    assert earlier.spec().native_id is None
    assert earlier.spec(seen).identity == OTHER
    assert earlier.spec().level == ""
