"""One place where a backend is tested on a real kernel: drives, a state directory, agents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from backy_core.config.settings import Settings
from backy_core.pools.views import CreateRequest
from backy_core.testing import machine, plugs
from backy_core.testing.agent import OUTPUTS, Agent, Work, fine, new_guid, run_agent
from backy_core.testing.fork import FailedInside, Killed
from backy_core.testing.permission import Permission
from backy_core.testing.subject import Subject
from backy_core.testing.tap import Tap

T = TypeVar("T")
_MOST_LINES = 100
"""Of the outputs of one agent; the last ones."""


class Site:
    """Agents come and go, one at a time, on the same state directory."""

    def __init__(
        self,
        directory: Path,
        subject: type[Subject],
        allowed: Permission,
        tell: Callable[[str], None],
    ) -> None:
        """``tell`` takes what each agent's operations ran and printed."""
        self._tell = tell
        self.directory = directory
        # Where the agent mounts, it wants nobody but root above, and /tmp is everyone's.
        self.mounts = Path("/mnt") / f"backy-{directory.name}"
        self._runtime = Path("/run") / f"backy-{directory.name}"
        self.subject = subject
        self.serials = allowed.serials
        self._untouchable = allowed.untouchable
        directory.mkdir(parents=True, exist_ok=True)
        self._runtime.mkdir(mode=0o700, exist_ok=True)

    def settings(self) -> Settings:
        """Everything of the site's own; no drive but the disposable ones."""
        return Settings(
            state_dir=self.directory / "state",
            config_dir=self.directory / "etc",
            runtime_dir=self._runtime,
            mount_root=self.mounts,
            exclude_drives=self._untouchable,
            open_wait_s=2,
            shutdown_grace_s=10,
            drives_rescan_s=0,
        )

    def agent(
        self,
        work: Work[T],
        *,
        others: bool = False,
        prepare: Callable[[Tap], None] = lambda tap: None,
    ) -> T:
        """``work`` with a new agent. ``others``: with every installed backend besides."""
        host = self.subject.host(others=others)
        outputs = self.directory / OUTPUTS
        outputs.unlink(missing_ok=True)
        try:
            return run_agent(host, self.settings(), work, prepare)
        except FailedInside as failure:
            raise FailedInside(f"{failure}\nagent's log:\n{self._log()}") from None
        finally:
            if outputs.exists():
                lines = outputs.read_text(errors="replace").splitlines()
                self._tell("\n".join(lines[-_MOST_LINES:]))

    def killed(self, work: Work[bool]) -> bool:
        """Whether the agent was killed meanwhile by a trap it had set itself."""
        try:
            self.agent(work)
        except Killed:
            return True
        return False

    def request(
        self, guid: str, level: str, drives: int, *, label: str = "backup", first: int = 0
    ) -> CreateRequest:
        """A pool on drives from the ``first`` on, mounted where a path needs quoting."""
        serials = self.serials[first : first + drives]
        assert len(serials) == drives, f"{first + drives} drives are needed: {self.serials}"
        return CreateRequest(
            label=label,
            drive_serials=serials,
            mount_path=self.path(guid),
            guid=guid,
            backend=self.subject.info().name,
            level=level,
            filesystem=self.subject.filesystem,
            layers=self.subject.stack,
        )

    def path(self, guid: str) -> str:
        return str(self.mounts / f"it's {guid[:4]}")

    def check_nothing_left(self, serials: Sequence[str] | None = None) -> None:
        """Drives clean and free, no journal entry, no mount, no mount directory."""
        machine.check_clean(serials or self.serials)
        journal = sorted(path.name for path in (self.directory / "state/journal").glob("*"))
        assert not journal, f"the journal holds {journal}"
        assert str(self.mounts) not in Path("/proc/self/mounts").read_text()
        left = sorted(str(path) for top in (self.mounts, self._runtime) for path in top.glob("*"))
        assert not left, f"mount directories are left: {left}"

    def restore(self) -> None:
        """After each test: drives back, every pool deleted, nothing left of it."""
        machine.bring_online(self.serials)
        plugs.plug(self.serials)
        try:
            self.check_nothing_left()
        except (AssertionError, OSError):
            with suppress(Killed):
                self.agent(_delete_all)
            machine.check_clean(self.serials)
        with suppress(OSError):
            self._runtime.rmdir()

    def _log(self) -> str:
        log = self.directory / "agent.log"
        return log.read_text(errors="replace")[-3000:] if log.exists() else ""


async def _delete_all(agent: Agent) -> None:
    for found in await agent.runtime.pools.importable():
        await agent.runtime.pools.import_pool(found.guid, None, None)
    for view in await agent.runtime.pools.list():
        await agent.delete(view.guid)


async def take_for_another_pool(agent: Agent, site: Site, serial: str, unused: int) -> None:
    """Make a pool of a replaced drive, with consent, and delete it, which removes its signatures.
    Drives from the number ``unused`` on are added if a pool needs more than one."""
    level = min(site.subject.info().levels, key=lambda it: it.min_drives)
    serials = (serial, *site.serials[unused:])[: level.min_drives]
    assert len(serials) == level.min_drives, f"more drives are needed: {site.serials}"
    guid = new_guid()
    request = site.request(guid, level.name, 1, label="other")
    fine(agent, await agent.create(replace(request, drive_serials=serials, wipe=True)))
    fine(agent, await agent.delete(guid))
