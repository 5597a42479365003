"""Killing the agent at chosen moments of its journal (`crashing_agent` says what a moment is)."""

import contextlib
import time
from collections.abc import Iterable
from typing import Any

import httpx

from ..availability import thorough
from ..lab import systems
from ..lab.state import REPOSITORY
from . import crashing_agent
from .site import LOOK_SECONDS, PATIENCE, Site

_MODULE = "tests.kernel.http.crashing_agent"
GUEST: dict[str, Any] = {
    "argv": [
        *(systems.chosen().python, "-c"),
        f"import runpy, sys; sys.path.insert(0, {str(REPOSITORY)!r});"
        f" runpy.run_module({_MODULE!r}, run_name='__main__')",
    ]
}
"""Options of a guest whose agent can be told when to die."""

ROLLED_BACK = "The agent restarted while this pool was being created; everything was rolled back"
COMMITTED = ("after commit 1", "before closed 1", "after closed 1")


def moments(*few: str, more: Iterable[str] = ()) -> tuple[str, ...]:
    """The moments to die at: `more` too when it is to be thorough.

    The conformance kit kills the agent around each program of each backend, and the fake machine
    at each record of the journal.
    """
    return (*few, *more) if thorough() else few


def arm(site: Site, *moments: str) -> None:
    """The agent dies at these moments, in this order."""
    lines = "\n".join(moments)
    site.output(f"cat > {crashing_agent.MOMENTS} <<'END'\n{lines}\nEND")


def send(site: Site, method: str, path: str, body: object = None) -> None:
    """A call whose reply may die with the agent."""
    with contextlib.suppress(httpx.TransportError):
        site.call(method, path, body)


def send_again(site: Site, method: str, path: str) -> httpx.Response:
    """The same call, as clients send it until the agent answers again."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return site.call(method, path)
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(LOOK_SECONDS)


def await_crash(site: Site) -> None:
    """Every armed moment has come, and the agent that follows has nothing left to do."""
    deadline = time.monotonic() + PATIENCE
    while site.run(f"test -s {crashing_agent.MOMENTS}").rc == 0:
        assert time.monotonic() < deadline, f"it did not come to {armed(site)}"
        time.sleep(LOOK_SECONDS)
    while not settled(site):
        assert time.monotonic() < deadline, site.journal()
        time.sleep(LOOK_SECONDS)


def armed(site: Site) -> str:
    """The moments yet to come."""
    return site.run(f"cat {crashing_agent.MOMENTS}").out


def settled(site: Site) -> bool:
    """Whether the agent answers, nothing runs, and what should be mounted is on no way to it."""
    try:
        if any(op["state"] == "running" for op in site.get("/operations")):
            return False
        unmounted = {pool["poolGroupGuid"] for pool in site.get("/pools?state=unmounted")}
    except httpx.TransportError:
        return False
    entries = site.metadata()
    opening = [guid for guid in unmounted & entries.keys() if _wished(entries[guid])]
    return not (opening or site.journal())


def _wished(entry: dict[str, Any]) -> bool:
    return bool(entry["isMounted"])
