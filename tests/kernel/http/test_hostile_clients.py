"""A running creation is not disturbed by a thousand hostile clients."""

from pathlib import Path

from ...http import hostile
from ..availability import thorough
from ..lab import systems
from ..lab.drives import numbered
from .backends import MDADM, Backend
from .site import Site

BACKENDS = [MDADM]
DRIVES = numbered(2, 96 << 20)
ONE, TWO = (drive.serial for drive in DRIVES)
CLIENTS = 1000 if thorough() else 200
GROWTH_KIB = 20 << 10
PYTHON = systems.chosen().python


def resident(site: Site) -> int:
    """KiB."""
    pid = site.output("pgrep -f 'backy_core serve' | head -n 1")
    return int(site.output(f"awk '/^VmRSS/ {{print $2}}' /proc/{pid}/status"))


def test_a_creation_among_hostile_clients(site: Site, backend: Backend) -> None:
    before = resident(site)
    script = Path(hostile.__file__)
    port = site.output("ss -Hltn | grep -o '[0-9.]*:5151' | head -n 1").rpartition(":")[2]
    site.output(
        f"ulimit -n 4096; nohup {PYTHON} {script} {port} {CLIENTS} 600 >/dev/null 2>&1 &"
        " echo $! >/tmp/hostile"
    )
    site.output("for i in $(seq 100); do ss -Htn | wc -l | grep -q '..' && break; sleep 0.1; done")
    pool = site.made(ONE, TWO, **backend.options())
    written = pool.write()
    assert site.output("kill -0 $(cat /tmp/hostile) && echo yes") == "yes"
    grown = resident(site) - before
    site.output("kill $(cat /tmp/hostile)")
    assert grown < GROWTH_KIB
    assert pool.read() == written
    pool.check_ready()
    pool.delete()
    pool.check_gone()
