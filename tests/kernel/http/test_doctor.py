"""The doctor on a machine with real trouble, and the repairs that it advises."""

from typing import Any

from ..lab.drives import Drive
from .backends import Backend
from .site import Site

OF_THE_CORE = True
DRIVES = [
    *(Drive("twin", 64 << 20, name=name) for name in ("twin-a", "twin-b")),
    *(Drive(serial, 64 << 20) for serial in ("plain1", "plain2")),
]


def findings(site: Site) -> dict[str, dict[str, Any]]:
    """By check, what is more than information: a guest lacks tools and has mounts of the lab."""
    found = site.get("/doctor")["findings"]
    return {finding["check"]: finding for finding in found if finding["severity"] != "info"}


def test_a_pool_that_was_forgotten_is_found_and_imported(site: Site, backend: Backend) -> None:
    site.unplug("twin-b")
    assert findings(site) == {}
    pool = site.made("plain1", "plain2", **backend.options())
    assert findings(site) == {}
    site.done("DELETE", f"/pools/metadata/{pool.guid}")
    found = findings(site)
    assert set(found) == {"unowned-pools", "unowned-mounts"}
    assert found["unowned-mounts"]["subject"] == pool.path
    request = found["unowned-pools"]["request"]
    assert request["path"] == f"/api/v1{pool.url}/import"
    site.done(request["method"], request["path"].removeprefix("/api/v1"))
    assert findings(site) == {}
    pool.delete()
    pool.check_gone()


def repaired(site: Site, finding: dict[str, Any]) -> list[str]:
    """Repair it, and hold what was run to the plan that was shown."""
    asked = {"check": finding["check"], "subject": finding["subject"]}
    steps = site.done("POST", "/doctor/repair?dryRun=true", asked)["plan"]["steps"]
    outputs = site.done("POST", "/doctor/repair", asked)["commandOutputs"]
    commands = [line[2:] for line in outputs if line.startswith("$ ")]
    assert commands == [step["command"] for step in steps]
    return commands


def test_a_pool_that_nobody_knows_is_stopped_and_its_path_removed(
    site: Site, backend: Backend
) -> None:
    site.unplug("twin-b")
    pool = site.made("plain1", "plain2", **backend.options())
    site.output(f"echo kept >{pool.path}/letter")
    site.done("DELETE", f"/pools/metadata/{pool.guid}")
    found = findings(site)
    assert not found["unowned-pools"]["repairable"], "it is mounted"
    site.run(f"sleep 1000 >{pool.path}/busy & echo $! >/tmp/sleeper")
    asked = {"check": "unowned-mounts", "subject": pool.path}
    refused = site.call("POST", "/doctor/repair", asked)
    assert refused.status_code == 409 and "sleep" in refused.text, refused.text
    site.output("kill $(cat /tmp/sleeper)")
    repaired(site, found["unowned-mounts"])
    repaired(site, findings(site)["unowned-pools"])
    assert findings(site) == {}
    assert site.get("/pools/importable"), "its data stays"
    everything = site.get("/doctor")["findings"]
    [directory] = [one for one in everything if one["check"] == "unowned-directories"]
    assert repaired(site, directory) == [f"chattr -i {pool.path}; rmdir {pool.path}"]
    site.done("POST", f"{pool.url}/import")
    site.done("POST", f"{pool.url}/mount")
    assert site.output(f"cat {pool.path}/letter") == "kept"
    pool.delete()
    pool.check_gone()


def test_drives_of_one_serial(site: Site, backend: Backend) -> None:
    site.plug("twin-b")
    found = findings(site)["drive-identity"]
    assert (found["severity"], found["subject"]) == ("error", "twin")
    assert len(found["evidence"]) == 2
    site.unplug("twin-b")
    assert findings(site) == {}


def test_leftovers_and_a_clock_that_jumped(site: Site, backend: Backend) -> None:
    site.unplug("twin-b")
    site.output("mkdir -p /run/mdadm && touch /run/mdadm/creating-md99")
    found = findings(site)["leftovers"]
    assert found["subject"] == "/run/mdadm/creating-md99"
    assert repaired(site, found) == ["rm /run/mdadm/creating-md99"]
    assert site.output("ls /run/mdadm | grep -c creating || true") == "0"
    site.output("date -s '+1 hour'")
    assert "forward by 3600 s" in findings(site)["clock"]["message"]
    site.output("date -s '-1 hour'")
    assert "clock" not in findings(site)
