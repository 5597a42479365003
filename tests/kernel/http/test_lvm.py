"""Behaviour specific to LVM."""

import time
from typing import Any

from ..lab.drives import numbered
from .backends import LVM, Backend
from .site import LOOK_SECONDS, PATIENCE, TELL_UDEV, Site

BACKENDS = [LVM]
DRIVES = numbered(3, 64 << 20)
ONE, TWO, THREE = (drive.serial for drive in DRIVES)
_BY_EVENT_SECONDS = 20
"""Less than `drives_rescan_s`."""
_HOSTILE = """
config { abort_on_errors = 1 }
devices { filter = [ "r|.*|" ] global_filter = [ "r|.*|" ] scan = [ "/nowhere" ] }
log { silent = 1 verbose = 2 command_names = 1 prefix = "odd " report_command_log = 1 }
report { output_format = "json_std" compact_output = 1 prefixes = 1 headings = 0 quoted = 0
         columns_as_rows = 1 binary_values_as_numeric = 1 mark_hidden_devices = 0
         list_item_separator = ";" two_word_unknown_device = 1 buffered = 0 }
global { units = "h" test = 1 activation = 0 metadata_read_only = 1 use_lvmlockd = 1
         system_id_source = "lvmlocal" }
activation { volume_list = [ "nobody" ] read_only_volume_list = [ "@*" ] }
metadata { vgmetadatacopies = 1 }
"""
"""Rejects every drive, spoils every report, and lets no command do anything."""


def test_a_pool_that_lost_every_drive_is_let_go(site: Site, backend: Backend) -> None:
    """Its metadata went with the drives: only device-mapper knows it still."""
    pool = site.made(ONE, **backend.alone())
    written = pool.write()
    site.guest.unplug(ONE)
    pool.until_health("failed")
    pool.unmount()
    assert backend.leftovers(site) == ""
    site.plug(ONE)
    pool.mount()
    assert pool.read() == written
    pool.delete()
    pool.check_gone()
    assert site.run("ls /etc/lvm/devices").rc != 0, "a devices file would hide other groups"


def test_a_group_made_by_hand_is_imported(site: Site, backend: Backend) -> None:
    """It has no GUID of ours: one is made of its UUID; udev may activate it."""
    nodes = f"{site.node(ONE)} {site.node(TWO)}"
    site.output(
        f"vgcreate -qy data {nodes} && lvcreate -qy --extents 100%FREE --name files data"
        f" && mkfs.ext4 -q /dev/data/files && {TELL_UDEV} /dev/data/files"
    )
    # What is on the volume is udev's word, which comes when it has looked.
    deadline = time.monotonic() + PATIENCE
    while (found := _importable(site))["filesystem"] is None:
        assert time.monotonic() < deadline, found
    assert (found["label"], found["level"], found["filesystem"]) == ("data/files", "linear", "ext4")
    site.check_adopted(found["poolGroupGuid"], ONE, TWO)
    assert site.run("dmsetup ls | grep ^data-").out == ""


def test_a_drive_that_somebody_adds_is_seen(site: Site, backend: Backend) -> None:
    """Because udev tells of the write: at rest no group is read again."""
    pool = site.made(ONE, **backend.alone())
    group, node = f"backy-{pool.guid}", site.node(TWO)
    for script, guid in (
        (f"vgextend -qy {group} {node}", pool.guid),
        (f"vgreduce -q {group} {node} && pvremove -qy {node}", None),
    ):
        site.output(script)
        deadline = time.monotonic() + _BY_EVENT_SECONDS * site.guest.slower
        while (drive := site.drives()[TWO])["poolGroupGuid"] != guid:
            assert time.monotonic() < deadline, drive
            time.sleep(LOOK_SECONDS)
    pool.delete()
    site.check_clean([ONE, TWO])


def test_a_second_volume_is_not_destroyed_in_passing(site: Site, backend: Backend) -> None:
    """Somebody made it in the pool's group: whether the pool is mounted or not."""
    pool = site.made(ONE, TWO, **backend.alone())
    group = f"backy-{pool.guid}"
    pool.unmount()
    # LVM 2.03.17 and later reduces no volume that is inactive: it looks for a filesystem first.
    site.output(
        f"lvchange -ay {group}/pool && lvreduce -qfy -r -l -4 {group}/pool && "
        f"lvchange -an {group}/pool && lvcreate -qy -an -Zn -l 2 -n precious {group}"
    )
    site.done("POST", "/drives/refresh")
    answer = site.refused("DELETE", pool.url, status=409, code="DRIVE_NOT_EMPTY")
    assert "precious" in answer["error"]["message"]
    assert "precious" in site.output(f"lvs --noheadings -o lv_name {group}")
    site.done("DELETE", f"{pool.url}?destroyOthers=precious")
    pool.check_gone()


def test_a_damaged_drive_is_in_doubt_alone(site: Site, backend: Backend) -> None:
    """Pools that can be read live on, also for an agent that has never seen them otherwise."""
    pool = site.made(ONE, **backend.alone())
    written = pool.write()
    node = site.node(TWO)
    site.output(f"vgcreate -qy other {node} && {_spoil(node)}")
    site.done("POST", "/drives/refresh")
    why = site.drives()[TWO]["unavailableBecause"]
    assert "which backend lvm cannot read: " in why and node in why, why
    pool.unmount()
    site.restart()
    pool.mount()
    assert pool.read() == written and "staleBecause" not in pool.detail()
    site.made(THREE, **backend.alone()).delete()
    taken = site.made(TWO, wipe=True, **backend.alone())
    pool.delete()
    taken.delete()
    site.check_clean([ONE, TWO, THREE])


def test_a_pool_that_cannot_be_read_is_not_gone(site: Site, backend: Backend) -> None:
    """It is kept, said to be old, and nothing is done to it, until it can be read again."""
    pool = site.made(ONE, **backend.alone())
    written = pool.write()
    node = site.node(ONE)
    site.output(f"dd if={node} of=/run/kept bs=1M count=1 status=none && {_spoil(node)}")
    pool.unmount()  # what the kernel runs can be let go of
    assert backend.leftovers(site) == ""
    for start in ("as it was", "anew"):
        if start == "anew":
            site.restart()
        site.done("POST", "/drives/refresh")
        assert f"cannot read drive {ONE}" in pool.detail()["staleBecause"], start
        site.refused("POST", f"{pool.url}/mount", {}, status=400, code="SYSTEM_ERROR")
        site.refused("DELETE", pool.url, status=400, code="SYSTEM_ERROR")
        pool.unmount()
    site.output(f"dd if=/run/kept of={node} bs=1M conv=notrunc,fsync status=none")
    site.output(f"{TELL_UDEV} {node}")
    pool.mount()
    assert pool.read() == written
    pool.delete()
    pool.check_gone()


def test_a_copy_of_a_running_pool_has_no_say(site: Site, backend: Backend) -> None:
    """Also one that was changed since, and so counts further."""
    pool = site.made(ONE, **backend.alone())
    written, before = pool.write(), pool.detail()
    one, two = site.node(ONE), site.node(TWO)
    site.output(f"sync; dd if={one} of={two} bs=1M conv=fsync status=none")
    site.output(
        f"vgchange -qy --devices {two} --addtag other backy-{pool.guid} && {TELL_UDEV} {two}"
    )
    site.done("POST", "/drives/refresh")
    after = pool.detail()
    same = ("state", "poolStatus", "poolId", "mountPath", "errorMessage", "staleBecause")
    assert [after.get(field) for field in same] == [before.get(field) for field in same]
    assert pool.members()[ONE] == "active"
    site.output(f"wipefs -qa {two} && {TELL_UDEV} {two}")
    pool.unmount()
    pool.mount()
    assert pool.read() == written
    pool.delete()
    site.check_clean([ONE, TWO])


def test_the_host_s_configuration_has_no_say(site: Site, backend: Backend) -> None:
    site.output(
        "mkdir -p /etc/lvm/devices && cp -a /etc/lvm /run/lvm-kept"
        f" && cat > /etc/lvm/lvm.conf <<'END'\n{_HOSTILE}\nEND\n"
        "echo 'local { system_id = \"elsewhere\" }' > /etc/lvm/lvmlocal.conf\n"
        "echo 'VERSION=1.1.1' > /etc/lvm/devices/system.devices"
    )
    try:
        pool = site.made(ONE, TWO, **backend.options())
        written = pool.write()
        pool.until_health("active")
        pool.unmount()
        pool.mount()
        assert pool.read() == written
        assert set(pool.members().values()) == {"active"}
        site.done("POST", f"{pool.url}/drives/add", {"serial": THREE, "replaces": TWO})
        pool.until_health("active")
        site.wipe_leftover(TWO, **backend.alone())
        pool.delete()
    finally:
        site.output("rm -r /etc/lvm && mv /run/lvm-kept /etc/lvm; rm -rf /etc/lvm/devices")
    site.check_clean([ONE, TWO, THREE])


def _spoil(node: str) -> str:
    """Overwrite the text of LVM's metadata, in all its versions from sector 9 on; tell udev."""
    dd = f"dd if=/dev/urandom of={node} bs=512 seek=9 count=200 conv=notrunc,fsync status=none"
    return f"{dd} && {TELL_UDEV} {node}"


def _importable(site: Site) -> dict[str, Any]:
    """The one pool that can be imported, after a new look."""
    site.done("POST", "/drives/refresh")
    (found,) = site.get("/pools/importable")
    return dict(found)
