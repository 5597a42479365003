"""The agent killed during a creation: rolled back before the commit, kept after it.

One guest. For each moment: arm it, start the operation, let the agent die and restart, and check
the result.
"""

import pytest

from ..lab.drives import numbered
from . import crashes
from .backends import Backend
from .crashes import COMMITTED, ROLLED_BACK, arm, await_crash, send
from .site import Pool, Site

GUEST = crashes.GUEST
OF_THE_CORE = True
DRIVES = numbered(2, 64 << 20)
ONE, TWO = (drive.serial for drive in DRIVES)
CORES_OWN = ("mkdir", "wipefs", "mount")
"""Steps of a plan that start no program."""


def check_undone(pool: Pool, backend: Backend, moment: str) -> None:
    """The documented answer, and not a trace."""
    assert (moment, pool.detail()) == (moment, {"state": "failed", "errorMessage": ROLLED_BACK})
    pool.check_gone()
    assert backend.leftovers(pool.site) == ""


def commands(site: Site, backend: Backend) -> list[str]:
    """Commands of a creation's steps."""
    pool = Pool.plan(site, [ONE, TWO], **backend.options())
    plan = site.done("POST", "/pools?dryRun=true", pool.request)["plan"]
    return [step["command"] for step in plan["steps"]]


@pytest.mark.parametrize("when", ["before a step", "in a program", "after a step", "at the end"])
def test_create_goes_back(site: Site, backend: Backend, when: str) -> None:
    steps = commands(site, backend)
    programs = [command for command in steps if not command.startswith(CORES_OWN)]
    moments = {
        "before a step": ("after opened 1", "after begun 2"),
        "in a program": tuple(f"after child {n + 1}" for n in range(len(programs))),
        "after a step": tuple(f"before done {n + 1}" for n in range(len(steps))),
        "at the end": ("before commit 1",),
    }
    for moment in crashes.moments(moments[when][-1], more=moments[when][:-1]):
        pool = Pool.plan(site, [ONE, TWO], **backend.options())
        arm(site, f"create {moment}")
        send(site, "POST", "/pools", pool.request)
        await_crash(site)
        check_undone(pool, backend, moment)


def test_create_stands(site: Site, backend: Backend) -> None:
    """Killed in the gap between the commit and the end of the journal entry, and right after."""
    for moment in crashes.moments(COMMITTED[0], more=COMMITTED[1:]):
        pool = Pool.plan(site, [ONE, TWO], **backend.options())
        arm(site, f"create {moment}")
        send(site, "POST", "/pools", pool.request)
        await_crash(site)
        pool.until("ready")
        pool.check_ready()
        assert site.call("POST", "/pools", pool.request).status_code == 202
        assert pool.write() == pool.read()
        pool.delete()
        pool.check_gone()


@pytest.mark.parametrize(
    "moments",
    [
        ["after undoing 1"],
        ["after undone 1", "after undone 3"],
        ["before undone 2", "before closed 1"],
    ],
)
def test_crash_while_it_is_undone(site: Site, backend: Backend, moments: list[str]) -> None:
    pool = Pool.plan(site, [ONE, TWO], **backend.options())
    mounted = f"after done {len(commands(site, backend))}"
    arm(site, *(f"create {moment}" for moment in (mounted, *moments)))
    send(site, "POST", "/pools", pool.request)
    await_crash(site)
    check_undone(pool, backend, str(moments))
