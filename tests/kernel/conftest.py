"""Fixtures of the kernel tests: guests on order, gone when the test is.

Every test of this folder carries the marker `kernel`. Where guests cannot run, all of them are
skipped for one reason; with `CI=true` or `BACKY_REQUIRE_KERNEL=1` in the environment they fail.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from .availability import required, why_unavailable
from .lab.agent import AgentGuest
from .lab.guest import Guest

HERE = Path(__file__).parent

GuestFactory = Callable[..., Guest]
AgentGuestFactory = Callable[..., AgentGuest]
G = TypeVar("G", bound=Guest)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark this folder's tests, and skip them all when guests cannot run."""
    ours = [item for item in items if HERE in item.path.parents]
    why = why_unavailable() if ours else ""
    for item in ours:
        item.add_marker("kernel")
        if why and not required():
            item.add_marker(pytest.mark.skip(reason=why))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail instead of skipping if a skip would hide something."""
    if required() and (why := why_unavailable()):
        pytest.fail(f"kernel tests are required here: {why}", pytrace=False)


@pytest.fixture
def guest_factory(request: pytest.FixtureRequest) -> Iterator[GuestFactory]:
    """`guest_factory(drives, **options)` boots a `Guest` without the agent."""
    yield from _factory(Guest, request)


@pytest.fixture
def agent_guest_factory(request: pytest.FixtureRequest) -> Iterator[AgentGuestFactory]:
    """`agent_guest_factory(drives, **options)` boots an `AgentGuest`; not with `start=False`."""
    yield from _factory(AgentGuest, request)


def _factory(kind: type[G], request: pytest.FixtureRequest) -> Iterator[Callable[..., G]]:
    base = Path(tempfile.mkdtemp(prefix="backy-lab-"))
    guests: list[G] = []

    def make(*arguments: Any, start: bool = True, **options: Any) -> G:
        guest = kind(base / str(len(guests)), *arguments, **options)
        guests.append(guest)
        return guest.start() if start else guest

    yield make
    for guest in guests:
        _report(request.node, guest)
        guest.cut()
    shutil.rmtree(base, ignore_errors=True)


def _report(node: pytest.Item, guest: Guest) -> None:
    """Show the ends of the guest's logs with a failed test."""
    for path in (guest.state.console, guest.state.agent_log):
        if path.exists():
            text = path.read_text(errors="replace")[-6000:]
            node.add_report_section("teardown", f"{guest.state.path.name}/{path.name}", text)
