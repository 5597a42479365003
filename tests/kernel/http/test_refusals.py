"""Requests that must be refused before any change, each with its documented reply."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from ..lab.drives import numbered
from .backends import Backend
from .site import TELL_UDEV, Pool, Site

OF_THE_CORE = True
DRIVES = numbered(4, 64 << 20)
ONE, TWO, THREE, FOUR = (drive.serial for drive in DRIVES)


@contextlib.contextmanager
def untouched(site: Site) -> Iterator[None]:
    """Check that the block changes nothing on drives, in the metadata or the journal."""
    before = site.look()
    yield
    assert site.look() == before


def refused(site: Site, pool: Pool, status: int, code: str) -> str:
    """The sentence of a refusal that is not remembered."""
    error = site.refused("POST", "/pools", pool.request, status=status, code=code)["error"]
    site.refused("GET", pool.url, status=404, code="NOT_FOUND")
    return f"{error['message']}: {error.get('details', '')}"


@pytest.mark.parametrize(
    ("serials", "options", "status", "code", "words"),
    [
        ([], {}, 400, "VALIDATION_ERROR", "drive"),
        ([ONE, "nonesuch"], {}, 404, "NOT_FOUND", "nonesuch"),
        ([ONE, ONE], {}, 400, "VALIDATION_ERROR", ONE),
        ([ONE, TWO], {"label": ""}, 400, "VALIDATION_ERROR", "label"),
        ([ONE, TWO], {"label": "  "}, 400, "VALIDATION_ERROR", "label"),
        ([ONE, TWO], {"level": "raid9"}, 400, "VALIDATION_ERROR", "raid9"),
        ([ONE, TWO], {"filesystem": "fat"}, 400, "VALIDATION_ERROR", "fat"),
        ([ONE, TWO], {"backend": "floppy"}, 400, "VALIDATION_ERROR", "floppy"),
        ([ONE, TWO], {"wipe": "yes"}, 400, "VALIDATION_ERROR", "wipe"),
        ([ONE, TWO], {"wype": True}, 400, "VALIDATION_ERROR", "wype"),
        ([ONE, TWO], {"mountPath": "mnt/here"}, 400, "VALIDATION_ERROR", "absolute"),
        ([ONE, TWO], {"mountPath": "/mnt/a/../b"}, 400, "VALIDATION_ERROR", ".."),
        ([ONE, TWO], {"mountPath": "/etc"}, 400, "VALIDATION_ERROR", "not below /mnt"),
        ([ONE, TWO], {"mountPath": "/usr/share/backy"}, 400, "VALIDATION_ERROR", "not below"),
        ([ONE, TWO], {"mountPath": "/"}, 400, "VALIDATION_ERROR", "not below"),
        ([ONE, TWO], {"poolGroupGuid": "12"}, 400, "VALIDATION_ERROR", "poolGroupGuid"),
    ],
)
def test_request(
    site: Site,
    backend: Backend,
    serials: list[str],
    options: dict[str, Any],
    status: int,
    code: str,
    words: str,
) -> None:
    pool = Pool.plan(site, serials, **{**backend.options(), **options})
    reply = site.refused("POST", "/pools", pool.request, status=status, code=code)
    error = reply["error"]
    assert words in f"{error['message']}: {error.get('details', '')}"
    assert site.journal() == [] and site.metadata() == {}


def test_too_few_drives(site: Site, backend: Backend) -> None:
    offered = site.get("/backends")["backends"]
    levels = next(b["levels"] for b in offered if b["name"] == backend.name)
    for shape in backend.shapes:
        least = next(level["minDrives"] for level in levels if level["name"] == shape.level)
        if least > 1:
            serials = [drive.serial for drive in DRIVES][: least - 1]
            pool = Pool.plan(site, serials, **backend.options(shape))
            assert str(least) in refused(site, pool, 400, "VALIDATION_ERROR")


def test_query_parameter(site: Site, backend: Backend) -> None:
    pool = Pool.plan(site, [ONE, TWO], **backend.options())
    path = "/pools?dryrun=true"
    error = site.refused("POST", path, pool.request, status=400, code="VALIDATION_ERROR")
    assert "dryrun" in error["error"]["message"]
    site.refused("GET", pool.url, status=404, code="NOT_FOUND")


def test_foreign_content_needs_consent(site: Site, backend: Backend) -> None:
    site.output(f"mkfs.ext4 -q {site.node(ONE)} && udevadm settle")
    site.output(f"echo ',10M' | sfdisk -q {site.node(TWO)} && udevadm settle")
    site.output(f"mkfs.ext4 -q {site.node(TWO)}1 && udevadm settle")
    with untouched(site):
        for first, named in ((ONE, "ext4"), (TWO, "dos")):
            pool = Pool.plan(site, [first, THREE], **backend.options())
            sentence = refused(site, pool, 409, "DRIVE_NOT_EMPTY")
            assert named in sentence and first in sentence
            drive = site.drives()[first]
            assert first in drive["unavailableBecause"] and not drive["available"]
    pool = site.made(ONE, TWO, **backend.options(), wipe=True)
    pool.check_ready()
    assert any("ext4" in line for line in pool.outputs()), "the outputs say what was there"
    pool.delete()
    pool.check_gone()


def test_drive_in_use(site: Site, backend: Backend) -> None:
    node = site.node(ONE)
    site.output(f"mkfs.ext4 -q {node} && mkdir -p /srv/data && mount {node} /srv/data")
    with untouched(site):
        for wipe in (False, True):
            pool = Pool.plan(site, [ONE, TWO], **backend.options(), wipe=wipe)
            sentence = refused(site, pool, 409, "DRIVE_IN_USE")
            assert "/srv/data" in sentence and ONE in sentence
    status = site.get(f"/drives/{ONE}/status")
    assert (status["status"], status["mountPoint"]) == ("mounted", "/srv/data")
    site.output(f"umount /srv/data && wipefs -qa {node} && udevadm settle")

    # Held by another device, whoever made that.
    site.output(f"dmsetup create stranger --table '0 1000 linear {node} 0'")
    pool = Pool.plan(site, [ONE, TWO], **backend.options(), wipe=True)
    assert ONE in refused(site, pool, 409, "DRIVE_IN_USE")
    site.output("dmsetup remove stranger && udevadm settle")

    site.output(f"mkswap -q {node} && swapon {node}")
    pool = Pool.plan(site, [ONE, TWO], **backend.options(), wipe=True)
    reply = site.call("POST", "/pools", pool.request)
    assert reply.status_code == 409 and "swap" in reply.text, reply.text
    site.output(f"swapoff {node} && wipefs -qa {node} && {TELL_UDEV} {node}")


def test_member_of_another_pool(site: Site, backend: Backend) -> None:
    first = site.made(ONE, TWO, **backend.options(), label="the-first")
    for unmounted in (False, True):
        if unmounted:
            first.unmount()
        with untouched(site):
            for wipe in (False, True):
                second = Pool.plan(site, [TWO, THREE], **backend.options(), wipe=wipe)
                sentence = refused(site, second, 409, "DRIVE_IN_USE")
                assert "the-first" in sentence and TWO in sentence
    first.delete()
    first.check_gone()


def test_protected_drive(site: Site, backend: Backend) -> None:
    assert site.done("PUT", f"/drives/{ONE}/protection")["success"] is True
    pool = Pool.plan(site, [ONE, TWO], **backend.options(), wipe=True)
    with untouched(site):
        assert ONE in refused(site, pool, 409, "DRIVE_PROTECTED")
        assert site.drives()[ONE]["protected"] is True
        site.restart("stop")
        assert ONE in refused(site, pool, 409, "DRIVE_PROTECTED"), "it outlives the agent"
    site.done("DELETE", f"/drives/{ONE}/protection")

    pool = site.made(ONE, TWO, **backend.options())
    site.done("PUT", f"/drives/{TWO}/protection")
    site.refused("DELETE", pool.url, status=409, code="DRIVE_PROTECTED")
    pool.check_ready()
    site.done("DELETE", f"/drives/{TWO}/protection")
    pool.delete()
    pool.check_gone()


def test_mount_path_taken(site: Site, backend: Backend) -> None:
    def sentence(path: str, status: int, code: str) -> str:
        pool = Pool.plan(site, [ONE, TWO], **backend.options(), mountPath=path)
        return refused(site, pool, status, code)

    site.output("mkdir -p /mnt/full /mnt/real /mnt/mounted && touch /mnt/full/file")
    site.output("ln -sfn /mnt/real /mnt/link && touch /mnt/plain-file")
    site.output("mount -t tmpfs none /mnt/mounted")
    with untouched(site):
        assert "not empty" in sentence("/mnt/full", 400, "VALIDATION_ERROR")
        assert "symbolic link" in sentence("/mnt/link", 400, "VALIDATION_ERROR")
        assert "symbolic link" in sentence("/mnt/link/below", 400, "VALIDATION_ERROR")
        assert "/mnt/plain-file" in sentence("/mnt/plain-file", 400, "VALIDATION_ERROR")
        assert "mounted" in sentence("/mnt/mounted", 409, "CONFLICT")
    assert site.output("ls /mnt/full; readlink /mnt/link") == "file\n/mnt/real"
    site.output("umount /mnt/mounted")

    first = site.made(THREE, **backend.alone(), mountPath="/mnt/first/deep/below")
    assert first.request["label"] in sentence("/mnt/first/deep/below/x", 409, "CONFLICT")
    first.delete()
    assert site.run("test -e /mnt/first").rc == 1, "directories it made go, and only those"
    assert site.run("test -d /mnt/full").rc == 0

    empty = site.made(THREE, **backend.alone(), mountPath="/mnt/real")
    empty.delete()
    assert site.run("test -d /mnt/real").rc == 0, "a directory it did not make stays"


def test_tool_missing(site: Site, backend: Backend) -> None:
    tool = backend.making.split()[0]
    site.output(f"mv /sbin/{tool} /sbin/{tool}-away")
    pool = Pool.plan(site, [ONE, TWO], **backend.options())
    assert tool in refused(site, pool, 400, "SYSTEM_ERROR")
    site.output(f"mv /sbin/{tool}-away /sbin/{tool}")


def test_tool_without_permission(site: Site, backend: Backend) -> None:
    """It is there when it is looked for and may not be run: a refusal or a clean failure."""
    tool = backend.making.split()[0]
    site.output(f"chmod a-x $(readlink -e /sbin/{tool})")
    pool = Pool.plan(site, [ONE, TWO], **backend.options())
    reply = site.call("POST", "/pools", pool.request)
    if reply.status_code == 202:
        detail = pool.until("failed")
        assert tool in detail["errorMessage"]
        site.done("DELETE", pool.url)
    else:
        assert reply.status_code == 400 and tool in reply.text, reply.text
    site.output(f"chmod a+x $(readlink -e /sbin/{tool})")
    pool.check_gone()


def test_permission_denied(site: Site, backend: Backend) -> None:
    """The mount directory cannot be made: the file system below it is read-only."""
    site.output("mkdir -p /mnt/sealed && mount -t tmpfs -o ro none /mnt/sealed")
    pool = Pool.plan(site, [ONE, TWO], **backend.options(), mountPath="/mnt/sealed/pool")
    reply = site.call("POST", "/pools", pool.request)
    if reply.status_code == 202:
        assert "ead-only" in pool.until("failed")["errorMessage"]
        site.done("DELETE", pool.url)
    else:
        assert reply.status_code == 400, reply.text
    pool.check_gone()
    site.output("umount /mnt/sealed && rmdir /mnt/sealed")


def test_unknown_things(site: Site, backend: Backend) -> None:
    nobody = "00000000-0000-4000-8000-000000000000"
    for method, path, body in (
        ("GET", f"/pools/{nobody}", None),
        ("DELETE", f"/pools/{nobody}", None),
        ("POST", f"/pools/{nobody}/mount", {}),
        ("DELETE", f"/pools/{nobody}/mount", None),
        ("GET", f"/pools/{nobody}/outputs", None),
        ("GET", f"/pools/{nobody}/processes", None),
        ("POST", f"/pools/{nobody}/drives/add", {"serial": ONE}),
        ("POST", f"/pools/{nobody}/import", {}),
        ("GET", "/mounts/%2Fmnt", None),
        ("GET", "/drives/nonesuch/status", None),
    ):
        site.refused(method, path, body, status=404, code="NOT_FOUND")
