"""Behaviour specific to Linux software RAID."""

import json
import re
from urllib.parse import unquote

import pytest

from ..lab.drives import numbered
from .backends import MDADM, Backend
from .machine import METADATA_FILE
from .site import TELL_UDEV, Pool, Site

BACKENDS = [MDADM]
DRIVES = numbered(4, 64 << 20)
ONE, TWO, THREE, FOUR = (drive.serial for drive in DRIVES)


def test_the_guid_is_the_uuid(site: Site, backend: Backend) -> None:
    pool = site.made(ONE, TWO, **backend.options())
    device = pool.detail()["poolId"]
    assert site.output(f"cat /sys/block/{device}/md/uuid") == pool.guid
    entry = site.metadata()[pool.guid]
    assert (entry["nativeId"], entry["mdDeviceName"]) == (pool.guid, device)
    node = site.node(ONE)
    nested = site.drives()[ONE]["children"]
    assert [(child["name"], child["mountpoint"]) for child in nested] == [(device, pool.path)]
    assert site.output(f"lsblk -no NAME -l {node} | tail -n 1") == device
    pool.delete()


def test_ready_while_it_syncs(site: Site, backend: Backend) -> None:
    backend.slow_sync(site)
    pool = site.made(ONE, TWO, **backend.options())
    detail = pool.detail()
    assert (detail["state"], detail["poolStatus"]) == ("ready", "resync")
    assert 0 <= detail["resyncPercentage"] < 100
    written = pool.write()
    pool.unmount()
    pool.mount()
    assert pool.detail()["poolStatus"] in ("resync", "active") and pool.read() == written
    backend.full_sync(site)
    detail = pool.until_health("active")
    assert "resyncPercentage" not in detail
    pool.delete()
    pool.check_gone()


def test_a_rebuild_goes_on_after_the_pool_was_shelved(site: Site, backend: Backend) -> None:
    pool = site.made(ONE, TWO, **backend.options())
    written = pool.write()
    pool.until_health("active")
    backend.slow_sync(site)
    site.done("POST", f"{pool.url}/drives/add", {"serial": THREE, "replaces": TWO})
    assert pool.detail()["poolStatus"] == "recovering"
    pool.unmount()
    pool.mount()
    assert pool.members()[THREE] == "rebuilding", "not taken for a member in sync"
    backend.full_sync(site)
    pool.write()
    pool.until_health("active")
    assert pool.members()[THREE] == "active" and written != pool.read()
    pool.unmount()  # md holds a replaced member until then
    site.wipe_leftover(TWO, **backend.alone())
    pool.delete()
    site.check_clean([ONE, TWO, THREE])


def test_what_udev_left_inactive_is_opened(site: Site, backend: Backend) -> None:
    """Members that come one by one are held by an array that does not start."""
    pool = site.made(ONE, TWO, **backend.options())
    written = pool.write()
    pool.unmount()
    site.output(f"udevadm trigger --settle --action=add {site.node(ONE)}")
    site.output("grep -q ' : inactive ' /proc/mdstat")
    pool.mount()
    assert pool.read() == written
    assert set(pool.members().values()) == {"active"}
    pool.delete()
    pool.check_gone()


def test_check_is_health(site: Site, backend: Backend) -> None:
    pool = site.made(ONE, TWO, **backend.options())
    device = pool.until_health("active")["poolId"]
    backend.slow_sync(site)
    site.output(f"echo check > /sys/block/{device}/md/sync_action")
    assert pool.until_health("check")["state"] == "ready"
    pool.unmount()
    backend.full_sync(site)
    pool.delete()
    pool.check_gone()


def test_stopped_behind_its_back(site: Site, backend: Backend) -> None:
    """Somebody unmounts and stops it: an error, said, and mounted again on request."""
    pool = site.made(ONE, TWO, **backend.options())
    written, device = pool.write(), pool.detail()["poolId"]
    site.output(f"umount {pool.path} && udevadm settle && mdadm --stop /dev/{device}")
    detail = pool.until("error")
    assert detail["errorMessage"] and detail["usePercent"] == "0%"
    pool.mount()
    pool.check_ready()
    assert pool.read() == written
    pool.delete()
    pool.check_gone()


def test_an_array_of_somebody_else(site: Site, backend: Backend) -> None:
    """Drives of a foreign array are held; when it is stopped, they have a signature."""
    nodes = f"{site.node(ONE)} {site.node(TWO)}"
    create = "mdadm --create /dev/md/strange --run --level=1 --raid-devices=2 --assume-clean"
    site.output(f"{create} {nodes} && udevadm settle")
    site.done("POST", "/drives/refresh")
    pool = Pool.plan(site, [ONE, THREE], **backend.options(), wipe=True)
    reply = site.call("POST", "/pools", pool.request)
    assert reply.status_code == 409 and ONE in reply.json()["error"]["message"], reply.text
    assert site.get("/pools") == []
    found = site.get("/pools/importable")
    assert [sorted(each["drives"]) for each in found] == [[ONE, TWO]]
    site.output("mdadm --stop /dev/md/strange && udevadm settle")
    site.output(f"mdadm --zero-superblock {nodes}; wipefs -qa {nodes}; udevadm settle")
    site.done("POST", "/drives/refresh")


def test_foreign_array_made_by_hand_is_imported(site: Site, backend: Backend) -> None:
    """It has no GUID of ours: one is made of its UUID, the same each time."""
    nodes = f"{site.node(ONE)} {site.node(TWO)}"
    create = "mdadm --create /dev/md/hand --run --level=1 --raid-devices=2 --assume-clean"
    site.output(f"{create} {nodes} && mkfs.ext4 -q /dev/md/hand && {TELL_UDEV} /dev/md/hand")
    site.done("POST", "/drives/refresh")
    (found,) = site.get("/pools/importable")
    site.check_adopted(found["poolGroupGuid"], ONE, TWO)


def test_a_stopped_array_whose_content_shows_on_its_drives_is_deleted(
    site: Site, backend: Backend
) -> None:
    """Superblocks of version 1.0 and 0.90 are at the end: the filesystem is seen on each drive."""
    nodes = f"{site.node(ONE)} {site.node(TWO)}"
    for version in ("1.0", "0.90"):
        site.output(
            f"mdadm --create /dev/md/old --run --metadata={version} --level=1 --raid-devices=2 "
            f"--assume-clean {nodes} && mkfs.ext4 -q -F /dev/md/old && udevadm settle && "
            "mdadm --stop /dev/md/old && udevadm settle"
        )
        site.done("POST", "/drives/refresh")
        (found,) = site.get("/pools/importable")
        site.done("POST", f"/pools/{found['poolGroupGuid']}/import")
        assert "message" not in site.done("DELETE", f"/pools/{found['poolGroupGuid']}")
        site.check_clean([ONE, TWO])


def test_a_copy_of_a_member_is_its_owners(site: Site, backend: Backend) -> None:
    """It is never opened beside the original, and ends with the pool only where it is named."""
    pool = site.made(ONE, TWO, **backend.options())
    pool.until_health("active")
    pool.unmount()
    copy = f"dd if={site.node(TWO)} of={site.node(THREE)} bs=1M conv=fsync status=none"
    site.output(f"{copy} && udevadm settle")
    site.done("POST", "/drives/refresh")
    answer = site.refused("POST", f"{pool.url}/mount", status=409, code="CONFLICT")
    assert TWO in str(answer) and THREE in str(answer)
    assert not pool.mounted()
    assert THREE in pool.delete()["message"]
    site.check_clean([ONE, TWO])
    (left,) = site.get("/pools/importable")
    assert left["drives"] == [THREE]
    site.done("POST", f"{pool.url}/import")
    pool.delete()
    site.check_clean([THREE])


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
def test_a_partition_inside_a_pool_is_not_destroyed_in_passing(
    site: Site, backend: Backend, stopped: bool
) -> None:
    pool = site.made(ONE, TWO, **backend.options())
    node = f"/dev/{pool.detail()['poolId']}"
    site.output(f"umount {pool.path} && echo ,,L | sfdisk -q {node} && udevadm settle")
    if stopped:
        pool.unmount()
    site.done("POST", "/drives/refresh")
    seen = site.look()
    answer = site.refused("DELETE", pool.url, status=409, code="DRIVE_NOT_EMPTY")
    assert site.look() == seen
    named = re.findall(r"destroyOthers=([^&\"]+)", answer["error"]["details"])
    assert "partition 1" in map(unquote, named), answer
    if not stopped:
        assert "dos" in site.output(f"wipefs --no-act {node}"), "nothing was erased"
    query = "&".join(f"destroyOthers={name}" for name in named)
    site.done("DELETE", f"{pool.url}?{query}")
    site.check_clean([ONE, TWO])


def test_file_of_the_earlier_agent(site: Site, backend: Backend) -> None:
    """Known by its drives' serials at first, by its own identity from then on."""
    pool = site.made(ONE, TWO, **backend.options())
    written = pool.write()
    entry = site.metadata()[pool.guid]
    legacy = {
        "pools": [
            {
                "poolGroupGuid": pool.guid,
                "label": "from the earlier agent",
                "mdDeviceName": "md0",
                "driveSerials": [ONE, TWO],
                "driveLabels": {ONE: "left", TWO: "right"},
                "createdAt": "2024-05-06T07:08:09.1234567Z",
                "lastMountPath": pool.path,
                "isMounted": True,
            }
        ],
        "lastUpdated": "2024-05-06T07:08:09.1234567Z",
    }
    site.guest.agent("stop")
    site.output(f"rm {METADATA_FILE}*; cat > {METADATA_FILE} <<'END'\n{json.dumps(legacy)}\nEND")
    site.output(f"umount {pool.path}; mdadm --stop --scan; udevadm settle")
    site.guest.agent("start")
    detail = pool.until("ready")
    assert (detail["label"], detail["backend"]) == ("from the earlier agent", "mdadm")
    assert detail["level"] == backend.mirror and detail["createdAt"].startswith("2024-05-06T07:08")
    assert [drive["label"] for drive in detail["drives"]] == ["left", "right"]
    assert pool.read() == written
    answer = site.done("PUT", "/pools/metadata/validate")
    assert set(answer) == {"success", "message", "fixedEntries"}
    assert site.metadata()[pool.guid]["nativeId"] == entry["nativeId"]
    pool.unmount()
    pool.mount()
    pool.check_ready()
    assert site.done("POST", "/pools/metadata/validate")["fixedEntries"] == 0
    pool.delete()
    site.run(f"chattr -i {pool.path}; rmdir {pool.path}")  # the entry does not say who made it
    pool.check_gone()


def test_the_systems_own_array_is_out_of_reach(site: Site, backend: Backend) -> None:
    first, second = site.node(THREE), site.node(FOUR)
    site.output(
        "mdadm --create /dev/md/boot --run --metadata=1.2 --level=1 --raid-devices=2 "
        f"{first} {second} && mkfs.ext4 -q -F /dev/md/boot && mkdir -p /boot && "
        "mount /dev/md/boot /boot && udevadm settle"
    )
    site.done("POST", "/drives/refresh")
    assert site.get("/pools/importable") == []
    site.output(
        f"umount /boot && mdadm --stop /dev/md/boot && wipefs -qa {first} {second} && "
        "udevadm settle"
    )


def test_a_broken_array_is_failed_until_it_is_mounted_again(site: Site, backend: Backend) -> None:
    """The kernel never lets go of the last member; it refuses all writes instead."""
    pool = site.made(ONE, TWO, **backend.options())
    device = pool.until_health("active")["poolId"]
    # The kernel calls it broken only once it is clean: here long after the last event.
    site.output(f"echo 3 >/sys/block/{device}/md/safe_mode_delay")
    written = pool.write()
    site.output(f"mdadm --fail /dev/{device} {site.node(ONE)}")
    # Not by mdadm: from 4.3 on it refuses to fail the last member before the kernel hears of it.
    last = site.node(TWO).removeprefix("/dev/")
    assert site.run(f"echo faulty > /sys/block/{device}/md/dev-{last}/state").rc != 0
    assert site.run(f"touch {pool.path}/more && sync {pool.path}").rc != 0

    detail = pool.until_health("failed")
    assert detail["poolId"] == device and pool.guid in site.metadata(), detail
    assert pool.members() == {ONE: "failed", TWO: "active"}, site.output("cat /proc/mdstat")
    pool.unmount()
    assert not pool.mounted() and device not in site.output("cat /proc/mdstat")

    pool.mount()
    assert pool.read() == written
    assert pool.until_health("degraded")["state"] == "ready"
    pool.delete()
    pool.check_gone()


def test_the_host_s_configuration_has_no_say(site: Site, backend: Backend) -> None:
    """One that ignores the very array, and would name and own new ones differently."""
    conf = "/etc/mdadm/mdadm.conf"
    lines = "DEVICE /dev/null\nHOMEHOST <ignore>\nCREATE names=yes owner=nobody mode=0600 auto=part"
    site.output(f"mkdir -p /etc/mdadm && touch {conf} && cp -a {conf} /run/conf-kept")
    site.output(f"printf '{lines}\nAUTO -all\nPROGRAM /bin/false\n' > {conf}")
    try:
        pool = site.made(ONE, TWO, **backend.options())
        uuid = pool.guid.replace("-", "")
        words = ":".join(uuid[at : at + 8] for at in range(0, 32, 8))
        site.output(f"echo 'ARRAY <ignore> UUID={words}' >> {conf}")
        written = pool.write()
        pool.until_health("active")
        pool.unmount()
        pool.mount()
        assert pool.read() == written
        assert set(pool.members().values()) == {"active"}
        pool.delete()
    finally:
        site.output(f"mv /run/conf-kept {conf}")
    pool.check_gone()


def test_a_member_with_a_damaged_superblock_is_in_doubt_alone(site: Site, backend: Backend) -> None:
    pool = site.made(ONE, TWO, **backend.options())
    alone = site.made(THREE, **backend.alone())
    written, kept = pool.write(), alone.write()
    pool.until_health("active")
    pool.unmount()
    alone.unmount()
    nodes = {serial: site.node(serial) for serial in (TWO, THREE)}
    for number, node in enumerate(nodes.values()):
        site.output(f"dd if={node} of=/run/kept{number} bs=4096 skip=1 count=1 status=none")
        # The checksum: libblkid still sees a member, mdadm none.
        site.output(f"printf XXXX | dd of={node} bs=1 seek={4096 + 0xD8} conv=notrunc,fsync")
        site.output(f"{TELL_UDEV} {node}")
    site.restart()
    assert f"cannot read drive {THREE}" in alone.detail()["staleBecause"]
    site.refused("POST", f"{alone.url}/mount", {}, status=400, code="SYSTEM_ERROR")
    site.refused("DELETE", alone.url, status=400, code="SYSTEM_ERROR")
    pool.mount()
    assert pool.read() == written and pool.detail()["poolStatus"] == "degraded"
    pool.unmount()
    for number, node in enumerate(nodes.values()):
        site.output(f"dd if=/run/kept{number} of={node} bs=4096 seek=1 conv=notrunc,fsync")
        site.output(f"{TELL_UDEV} {node}")
    alone.mount()
    assert alone.read() == kept
    alone.delete()
    pool.delete()
    site.check_clean([ONE, TWO, THREE])
