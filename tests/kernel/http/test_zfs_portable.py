"""Features of portable and native ZFS pools, as the tools report them."""

import re

from ..lab.drives import numbered
from .backends import OPENZFS, Backend, chosen
from .site import Pool, Site

BACKENDS = [backend for backend in chosen() if backend.name == "zfs"]
DRIVES = numbered(2, 256 << 20)
ONE, TWO = (drive.serial for drive in DRIVES)

_KNOWN = "/usr/share/zfs/compatibility.d"
_IN_USE = ("enabled", "active")
_OLDEST = {"zfsutils-linux": "2.1"}


def test_a_portable_pool_has_the_features_of_2_1_alone(site: Site, backend: Backend) -> None:
    pool = site.made(ONE, TWO, **backend.options())
    check_portable(pool, backend)
    if backend is OPENZFS:
        site.output(f"zpool upgrade {zpool(pool)}")
        check_portable(pool, backend)
    pool.unmount()
    pool.mount()
    check_portable(pool, backend)
    pool.delete()


def check_portable(pool: Pool, backend: Backend) -> None:
    """It has each feature of 2.1 and no other. zfs-fuse has none, and its own way of creation."""
    detail, settings = pool.detail(), properties(pool)
    assert detail["portability"] == "portable"
    assert detail["opensOn"] == {
        "kernel": "6.1",
        "tools": _OLDEST,
        "because": [],
        "checked": ["zfs metadata"],
    }
    if backend is not OPENZFS:
        assert "compatibility" not in settings and not features(settings)
        return
    assert settings["compatibility"] == "openzfs-2.1-linux"
    of_oldest = pool.site.output(f"sed 's/ *#.*//; /^$/d' {_KNOWN}/openzfs-2.1-linux").split()
    assert sorted(features(settings, *_IN_USE)) == sorted(of_oldest)


def test_a_native_pool_has_what_the_tools_have(site: Site, backend: Backend) -> None:
    pool = site.made(ONE, TWO, portability="native", **backend.options())
    detail, settings = pool.detail(), properties(pool)
    assert detail["portability"] == "native"
    assert settings.get("compatibility", "off") == "off"
    assert sorted(features(settings, *_IN_USE)) == sorted(features(settings))
    beyond = {name: since for name in features(settings, "active") if (since := first(site, name))}
    opens_on = detail["opensOn"]
    assert sorted(opens_on["because"]) == sorted(
        f"zpool feature {name}: zfsutils-linux {since}" for name, since in beyond.items()
    )
    newest = max(["2.1", *beyond.values()])
    assert (opens_on["kernel"], opens_on["tools"]) == ("6.1", {"zfsutils-linux": newest})
    pool.delete()


def zpool(pool: Pool) -> str:
    """The zpool's name."""
    return f"backy-{pool.guid}"


def properties(pool: Pool) -> dict[str, str]:
    """Each property of the zpool, features included."""
    rows = pool.site.output(f"zpool get all {zpool(pool)}").splitlines()[1:]
    return {row.split()[1]: row.split()[2] for row in rows}


def features(settings: dict[str, str], *states: str) -> list[str]:
    """Those in one of these states; without a state all that are known here."""
    return [
        name.removeprefix("feature@")
        for name, state in settings.items()
        if name.startswith("feature@") and (not states or state in states)
    ]


def first(site: Site, feature: str) -> str:
    """The first OpenZFS that has it, by OpenZFS's own lists; empty for those of 2.1."""
    named = site.output(f"grep -lx '{feature}' {_KNOWN}/openzfs-2.*; :")
    versions = sorted(re.findall(r"openzfs-(2\.\d+)", named))
    return "" if versions[0] <= "2.1" else versions[0]
