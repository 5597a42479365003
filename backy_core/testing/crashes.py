"""The agent is killed at every moment of every kind of work, and the next one settles it."""

from __future__ import annotations

import pytest

from backy_core.testing import machine
from backy_core.testing.agent import Agent, fine, new_guid, read_data, write_data
from backy_core.testing.onsite import OnSite
from backy_core.testing.site import Site, take_for_another_pool

_MOST_MOMENTS = 60


class CrashContract(OnSite):
    """SIGKILL right after a program started, after each step's work, and after the commit."""

    def test_killed_while_creating(self, site: Site) -> None:
        level, drives = self.usual()
        guids = [new_guid() for _ in range(_MOST_MOMENTS)]

        async def attempt(agent: Agent, number: int) -> bool:
            if number:
                await _gone_or_ready(agent, site, guids[number - 1])
            agent.tap.crash_at("create", number)
            fine(agent, await agent.create(site.request(guids[number], level, drives)))
            fine(agent, await agent.delete(guids[number]))
            return True

        self._at_every_moment(site, attempt)
        site.check_nothing_left()

    def test_killed_while_opening_and_closing(self, site: Site) -> None:
        guid, (level, drives) = new_guid(), self.usual()

        async def make(agent: Agent) -> str:
            fine(agent, await agent.create(site.request(guid, level, drives)))
            digest = write_data(site.path(guid))
            fine(agent, await agent.unmount(guid))
            return digest

        async def opening(agent: Agent, number: int) -> bool:
            fine(agent, await agent.unmount(guid))
            agent.tap.crash_at("open", number)
            fine(agent, await agent.mount(guid))
            return True

        async def closing(agent: Agent, number: int) -> bool:
            if number:
                assert (await agent.view(guid)).state == "unmounted", "the close was not finished"
            fine(agent, await agent.mount(guid))
            assert read_data(site.path(guid)) == digest, "the data changed"
            agent.tap.crash_at("close", number)
            fine(agent, await agent.unmount(guid))
            return True

        digest = site.agent(make)
        self._at_every_moment(site, opening)
        self._at_every_moment(site, closing)

    def test_killed_while_deleting(self, site: Site) -> None:
        level, drives = self.usual()
        guids = [new_guid() for _ in range(_MOST_MOMENTS)]

        async def attempt(agent: Agent, number: int) -> bool:
            if number:
                assert not await agent.known(guids[number - 1]), "the deletion was not finished"
                machine.check_clean(site.serials)
            fine(agent, await agent.create(site.request(guids[number], level, drives)))
            agent.tap.crash_at("teardown", number)
            fine(agent, await agent.delete(guids[number]))
            return True

        self._at_every_moment(site, attempt)
        site.check_nothing_left()

    def test_killed_while_replacing_a_member(self, site: Site) -> None:
        """A member and a spare drive take turns; what was cut off is asked for once more."""
        if "add_drive" not in self.info().capabilities:
            pytest.skip("it does not advertise add_drive")
        guid, (level, drives) = new_guid(), self.redundancy()
        *others, member, spare = site.serials[: drives + 1]

        async def make(agent: Agent) -> str:
            fine(agent, await agent.create(site.request(guid, level, drives)))
            return write_data(site.path(guid))

        async def filled(agent: Agent, serials: set[str]) -> bool:
            view = await agent.view(guid)  # one that left may stay in the container for a while
            states = {drive.serial: drive.status for drive in view.drives}
            return view.pool_status == "active" and states == dict.fromkeys(serials, "active")

        async def at_rest(agent: Agent) -> bool:
            return (await agent.view(guid)).pool_status in ("active", "degraded")

        async def attempt(agent: Agent, number: int) -> bool:
            old, new = (spare, member) if number % 2 else (member, spare)
            if number:  # a member in use is not exchanged while the pool rebuilds
                await agent.until(lambda: at_rest(agent), "the pool is at rest")
                fine(agent, await agent.add_drive(guid, old, replaces=new, wipe=True))
            await agent.until(lambda: filled(agent, {*others, old}), f"{old} is in and filled")
            assert read_data(site.path(guid)) == digest, "the data changed"
            agent.tap.crash_at("add", number)
            fine(agent, await agent.add_drive(guid, new, replaces=old, wipe=True))
            return True

        async def use_the_one_that_left(agent: Agent) -> None:
            """Use the replaced drive: it may keep its stamp, but is free once unmounted."""
            await agent.until(lambda: at_rest(agent), "the pool is at rest")
            in_use = {drive.serial for drive in (await agent.view(guid)).drives}
            fine(agent, await agent.unmount(guid))
            await take_for_another_pool(agent, site, ({member, spare} - in_use).pop(), drives + 1)
            fine(agent, await agent.delete(guid))

        digest = site.agent(make)
        self._at_every_moment(site, attempt)
        site.agent(use_the_one_that_left)
        site.check_nothing_left()

    def _at_every_moment(self, site: Site, attempt: object) -> None:
        """``attempt(agent, n)`` sets a trap at moment n; the end is an attempt that survives."""
        assert callable(attempt)
        for number in range(_MOST_MOMENTS):
            if not site.killed(lambda agent, n=number: attempt(agent, n)):  # type: ignore[misc]
                assert number, "the work has no moment at which it could be interrupted"
                return
        raise AssertionError(f"more than {_MOST_MOMENTS} moments")


async def _gone_or_ready(agent: Agent, site: Site, guid: str) -> None:
    """Check that a killed creation is rolled back, or exists if it was promised."""
    if await agent.known(guid):
        assert (await agent.view(guid)).state == "ready", "half of a creation stands"
        fine(agent, await agent.delete(guid))
    machine.check_clean(site.serials)
