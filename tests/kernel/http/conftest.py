"""One guest for each module and backend; a fresh one after a failure.

A module says which drives it wants in `DRIVES`, and in `BACKENDS` which backends it is for, when
that is not all. `OF_THE_CORE` says that its subject is more the core than a backend: `make test`
runs it for one, `make test-all` for each. `OF_THE_FILESYSTEM`: for one shape with each filesystem.
Tests with the marker `thorough` are left to `make test-all`, where it names backends for those.
Every test must leave nothing behind: `site` checks that.
"""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ..availability import required, thorough
from ..lab.drives import numbered
from . import backends
from .backends import Backend, Shape
from .site import Site

_TAIL = 8000
failed = pytest.StashKey[bool]()


class Guests:
    """The module's guest: booted when first wanted, replaced when it was spoilt."""

    def __init__(self, module: Any, backend: Backend) -> None:
        drives = getattr(module, "DRIVES", numbered(4, 128 << 20))
        self._drives = [replace(d, size=max(d.size, backend.least)) for d in drives]
        self._options = {**backend.guest, **getattr(module, "GUEST", {})}
        self._machine = backend.machine
        self._flush = backend.flush
        self._lifetime = 3600 * backend.machine.slower
        self._base = Path(tempfile.mkdtemp(prefix="backy-lab-"))
        self._count = 0
        self._site: Site | None = None

    def site(self) -> Site:
        """The guest as it is, or a new one."""
        if self._site is None:
            state = self._base / str(self._count)
            guest = self._machine(state, self._drives, lifetime=self._lifetime, **self._options)
            self._count += 1
            guest.start()
            self._site = Site(guest, self._flush)
        return self._site

    def spoilt(self) -> None:
        """The next test gets a new one."""
        if self._site is not None:
            self._site.close()
            self._site = None

    def end(self) -> None:
        """Leave nothing on the host."""
        self.spoilt()
        shutil.rmtree(self._base, ignore_errors=True)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with `backend` runs for each backend, one with `shape` for each shape of each."""
    if "backend" not in metafunc.fixturenames:
        return
    chosen = getattr(metafunc.module, "BACKENDS", backends.chosen())
    if getattr(metafunc.module, "OF_THE_CORE", False) and not thorough():
        chosen = chosen[:1]
    if "shape" in metafunc.fixturenames:
        pairs = [(backend, shape) for backend in chosen for shape in _shapes(backend, metafunc)]
        names = [f"{backend.name}-{shape}" for backend, shape in pairs]
        metafunc.parametrize(
            ("backend", "shape"), pairs, ids=names, indirect=["backend"], scope="module"
        )
        return
    names = [backend.name for backend in chosen]
    metafunc.parametrize("backend", chosen, ids=names, indirect=True, scope="module")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is for `make test-all` alone; pytest says how many."""
    if thorough():
        return
    config.hook.pytest_deselected(items=[item for item in items if _is_for_test_all(item)])
    items[:] = [item for item in items if not _is_for_test_all(item)]


def _is_for_test_all(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("thorough")
    if marker is None or not isinstance(item, pytest.Function):
        return False
    backend = item.callspec.params.get("backend") if hasattr(item, "callspec") else None
    return not marker.args or getattr(backend, "name", "") in marker.args


def _shapes(backend: Backend, metafunc: pytest.Metafunc) -> Iterable[Shape]:
    """Those that `make test` runs; of a test whose subject is the filesystem, one for each."""
    if thorough():
        return backend.shapes
    few = [shape for shape in backend.shapes if not shape.more]
    if getattr(metafunc.module, "OF_THE_FILESYSTEM", False):
        return {shape.filesystem: shape for shape in few}.values()
    return few


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Remember a failure, and show the ends of the guest's logs with it."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if report.failed:
        item.stash[failed] = True
        site = getattr(item, "funcargs", {}).get("site")
        if isinstance(site, Site):
            for path in (site.guest.state.console, site.guest.state.agent_log):
                if path.exists():
                    text = path.read_text(errors="replace")[-_TAIL:]
                    report.sections.append((path.name, text))
    return report  # type: ignore[return-value]


@pytest.fixture(scope="module")
def backend(request: pytest.FixtureRequest) -> Backend:
    """The backend under test."""
    chosen: Backend = request.param
    return chosen


@pytest.fixture(scope="module")
def guests(request: pytest.FixtureRequest, backend: Backend) -> Iterator[Guests]:
    """The module's guests."""
    if why := backend.lacks():
        pytest.fail(why) if required() else pytest.skip(why)
    made = Guests(request.module, backend)
    yield made
    made.end()


@pytest.fixture
def site(request: pytest.FixtureRequest, guests: Guests, backend: Backend) -> Iterator[Site]:
    """The agent's guest, without pools before and after."""
    current = guests.site()
    yield current
    if request.node.stash.get(failed, False):
        guests.spoilt()
        return
    try:
        check_untouched(current, backend)
    except BaseException:
        guests.spoilt()
        raise


def check_untouched(site: Site, backend: Backend) -> None:
    """Delete what is left of the test's pools; nothing of them may be anywhere then."""
    site.done("POST", "/drives/refresh")
    for pool in site.get("/pools"):
        site.done("DELETE", f"/pools/{pool['poolGroupGuid']}")
    assert backend.leftovers(site) == ""
    seen = site.check_clean(site.drives())
    assert seen.journal == () and seen.metadata == {}
    assert site.get("/pools/importable") == []
