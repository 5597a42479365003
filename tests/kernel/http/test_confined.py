"""The agent under what its unit forbids: nothing that a pool's life takes is missing."""

import pytest

from .. import confine
from ..lab import systems
from ..lab.agent import agent_command
from ..lab.drives import Drive, numbered
from ..lab.state import REPOSITORY
from .backends import Backend, Shape
from .site import Site

OF_THE_FILESYSTEM = True  # whose programs make the system calls
UNIT = REPOSITORY / "packaging/backy.service"
LARGE = ["large1", "large2"]
DRIVES = [*numbered(5, 96 << 20), *(Drive(each, 400 << 20) for each in LARGE)]
SYSTEM = systems.chosen()
GUEST = {"argv": [SYSTEM.python, confine.__file__, str(UNIT), *agent_command(SYSTEM)]}
SMALL = [drive.serial for drive in numbered(5)]


def test_the_agent_is_confined(site: Site, backend: Backend) -> None:
    pid = site.output("pgrep -fo 'backy_core serve'")
    status = dict(
        line.split(":\t", 1) for line in site.output(f"cat /proc/{pid}/status").splitlines()
    )
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    kept = bin(int(status["CapEff"], 16)).count("1")
    assert kept == len(confine.settings(UNIT.read_text())["CapabilityBoundingSet"])


@pytest.mark.thorough("lvm", "zfs")
def test_a_pools_life(site: Site, backend: Backend, shape: Shape) -> None:
    serials = (LARGE if shape.filesystem in ("xfs", "btrfs") else SMALL)[: shape.drives]
    pool = site.made(*serials, **backend.options(shape))
    pool.check_ready()
    written = pool.write()
    stranger = "setpriv --reuid 1000 --regid 1000 --clear-groups setsid sleep 1000"
    pid = int(site.output(f"(cd {pool.path}; {stranger} >/dev/null 2>&1 & echo $!); sleep 0.3"))
    site.refused("DELETE", f"{pool.url}/mount", status=409, code="POOL_BUSY")
    request = {"poolGroupGuid": pool.guid, "pids": [pid], "action": "UnmountPool"}
    site.done("POST", "/processes/kill", request)
    pool.mount()
    assert pool.read() == written
    site.guest.agent("kill")
    site.guest.agent("start")
    pool.until("ready")
    pool.delete()
    assert backend.leftovers(site) == ""
    pool.check_gone()
