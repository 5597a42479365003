"""Ring three: programs that fail or are gone, and a drive that dies in mid-creation."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

from backy_core.operations.journal import JournalEntry, Record, Undoing
from backy_core.sdk.plan import Exec, Step
from backy_core.system.exec import CommandFailed, Outcome
from backy_core.testing import machine, plugs
from backy_core.testing.agent import Agent, fine, new_guid, read_data, refused, write_data
from backy_core.testing.onsite import OnSite
from backy_core.testing.site import Site
from backy_core.testing.tap import When, quick


class How(Enum):
    """How a program goes wrong."""

    NOTHING = "it fails and did nothing"
    DONE = "it fails after it did all its work"
    VANISHED = "it is not installed any more"


class FaultContract(OnSite):
    def test_a_creation_whose_programs_fail_leaves_clean_drives(self, site: Site) -> None:
        level, drives = self.usual()

        async def fail_each(agent: Agent) -> int:
            programs = 0
            while await _creation_fails(agent, site, level, drives, programs, How.NOTHING):
                programs += 1
            for how in (How.DONE, How.VANISHED):
                for number in range(1 if quick() else programs):
                    assert await _creation_fails(agent, site, level, drives, number, how)
            return programs

        assert site.agent(fail_each), "a creation runs no program"
        site.check_nothing_left()

    def test_a_pool_that_cannot_be_opened_stays_as_it_is(self, site: Site) -> None:
        guid, (level, drives) = new_guid(), self.usual()

        async def fail(agent: Agent) -> None:
            fine(agent, await agent.create(site.request(guid, level, drives)))
            digest = write_data(site.path(guid))
            fine(agent, await agent.unmount(guid))
            for how in (How.NOTHING, How.VANISHED):
                with _Broken(agent, None, how):
                    refused(await agent.mount(guid), "mounting without a working program")
                assert (await agent.view(guid)).state == "unmounted"
            fine(agent, await agent.mount(guid))
            assert read_data(site.path(guid)) == digest, "the data changed"

        site.agent(fail)

    def test_a_drive_that_dies_in_mid_creation(self, site: Site) -> None:
        """The creation fails, the other drives are clean at once, the dead one when it is back."""
        guid, (level, drives) = new_guid(), self.usual()
        dying, other_serials = site.serials[drives - 1], site.serials[: drives - 1]

        async def die(agent: Agent) -> None:
            killed: list[str] = []

            def at(step: Step, number: int) -> None:
                if isinstance(step.run, Exec) and not killed:
                    killed.append(step.id)
                    self.break_drive(dying)

            agent.tap.on_step("create", at)
            refused(await agent.create(site.request(guid, level, drives)), "a creation on it")
            assert killed, "no program of the plan ran"
            assert not await agent.known(guid)

        async def mend(agent: Agent) -> None:
            await agent.until(lambda: _all_available(agent, site), "the drive is clean again")

        site.agent(die)
        machine.check_clean(other_serials)
        self.mend_drives(site)
        site.agent(mend)
        site.check_nothing_left()

    def break_drive(self, serial: str) -> None:
        """From now on all I/O of the drive fails. Overridden where a lab knows a better way."""
        machine.take_offline(serial)

    def mend_drives(self, site: Site) -> None:
        """The drives work again, and the kernel has looked at them again."""
        machine.bring_online(site.serials)
        for serial in site.serials:
            plugs.unplug(serial)
        plugs.plug(site.serials)


async def _creation_fails(
    agent: Agent, site: Site, level: str, drives: int, number: int, how: How
) -> bool:
    """Whether the plan had a ``number``-th program to break."""
    guid = new_guid()
    request = site.request(guid, level, drives)
    with _Broken(agent, number, how) as broken:
        error = await agent.create(request)
    if not broken.struck:
        fine(agent, error)
        fine(agent, await agent.delete(guid))
        return False
    if error is None:  # the outcome counts, not the exit status
        assert how is How.DONE, f"a creation succeeded although {broken.struck}: {how.value}"
        fine(agent, await agent.delete(guid))
    assert not await agent.known(guid)
    machine.check_clean(site.serials)
    return True


async def _all_available(agent: Agent, site: Site) -> bool:
    available = await agent.available()
    return all(available.get(serial) == "" for serial in site.serials)


class _Broken:
    """Makes the ``number``-th program of the next plan fail; None: all of them.

    Its retries fail too. Programs run by undo and by inspect work.
    """

    def __init__(self, agent: Agent, number: int | None, how: How) -> None:
        self._number, self._how = number, how
        self._order: list[tuple[str, ...]] = []
        self.struck: tuple[str, ...] | None = None
        self._programs = agent.programs
        self._real = agent.programs.runner
        self._undoing = False
        agent.tap.listeners.append(self._listen)

    def _listen(self, entry: JournalEntry, record: Record, when: When) -> None:
        self._undoing = self._undoing or isinstance(record, Undoing)

    def __enter__(self) -> _Broken:
        self._programs.runner = self._run
        return self

    def __exit__(self, *_: object) -> None:
        self._programs.runner = self._real

    async def _run(self, argv: Sequence[str], **how: Any) -> Outcome:
        words = tuple(argv)
        if words not in self._order:
            self._order.append(words)
        if self._number not in (None, self._order.index(words)) or self._undoing:
            return await self._real(argv, **how)
        self.struck = words
        if self._how is How.DONE:
            await self._real(argv, **how)
        raise CommandFailed(*_failure(words, self._how), final=self._how is How.VANISHED)


def _failure(argv: tuple[str, ...], how: How) -> tuple[str, Outcome]:
    if how is How.VANISHED:
        return f"{argv[0]} is not installed", Outcome(argv, None, "", "", 0.0)
    return f"{argv[0]} exited with status 1", Outcome(argv, 1, "", "broken on purpose", 0.0)
