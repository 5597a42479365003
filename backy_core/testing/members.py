"""Drives that go and come back, and drives that take their place."""

from __future__ import annotations

import pytest

from backy_core.testing import machine, plugs
from backy_core.testing.agent import Agent, fine, new_guid, read_data, refused, write_data
from backy_core.testing.onsite import OnSite
from backy_core.testing.site import Site, take_for_another_pool


class MemberContract(OnSite):
    def test_a_pool_without_redundancy_waits_for_its_drives(self, site: Site) -> None:
        """Also a pool of one drive: it is not opened while the drive is away."""
        guid, level = new_guid(), self.info().levels[0]
        gone = site.serials[:1] if level.min_drives == 1 else site.serials[: level.min_drives]

        async def make(agent: Agent) -> str:
            fine(agent, await agent.create(site.request(guid, level.name, level.min_drives)))
            digest = write_data(site.path(guid))
            fine(agent, await agent.unmount(guid))
            return digest

        async def without(agent: Agent) -> None:
            refused(await agent.mount(guid), "mounting a pool without its drives")
            states = {drive.serial: drive.status for drive in (await agent.view(guid)).drives}
            assert {states[serial] for serial in gone} == {"disconnected"}

        async def back(agent: Agent) -> str:
            fine(agent, await agent.mount(guid))
            return read_data(site.path(guid))

        digest = site.agent(make)
        for serial in gone:
            plugs.unplug(serial)
        site.agent(without)
        plugs.plug(gone)
        assert site.agent(back) == digest

    def test_a_deleted_pools_absent_drive_is_wiped_when_it_returns(self, site: Site) -> None:
        guid, (level, drives) = new_guid(), self.usual()
        absent = site.serials[drives - 1]

        async def make(agent: Agent) -> None:
            fine(agent, await agent.create(site.request(guid, level, drives)))
            fine(agent, await agent.unmount(guid))

        async def delete(agent: Agent) -> None:
            fine(agent, await agent.delete(guid))

        site.agent(make)
        plugs.unplug(absent)
        site.agent(delete)
        machine.check_clean(site.serials[: drives - 1])
        plugs.plug([absent])
        site.agent(delete)
        site.check_nothing_left()

    def test_degraded_then_whole_again(self, site: Site) -> None:
        """A pool is used while a member is away, and the member returns. It is re-added if the
        backend can add drives; otherwise it must do no harm."""
        able = self.info().capabilities
        if "degraded_open" not in able:
            pytest.skip("it does not advertise degraded_open")
        guid, (level, drives) = new_guid(), self.redundancy()
        away = site.serials[drives - 1]

        async def make(agent: Agent) -> None:
            fine(agent, await agent.create(site.request(guid, level, drives)))
            await agent.until(lambda: agent.whole(guid), "the new pool is in sync")
            fine(agent, await agent.unmount(guid))

        async def without(agent: Agent) -> str:
            fine(agent, await agent.mount(guid))
            report = await agent.report(guid)
            assert report is not None
            assert report.degraded, f"a member is away and the pool is not degraded: {report}"
            digest = write_data(site.path(guid))
            fine(agent, await agent.unmount(guid))
            return digest

        async def back(agent: Agent) -> str:
            fine(agent, await agent.mount(guid))
            if "add_drive" in able:
                if not await agent.whole(guid):
                    fine(agent, await agent.add_drive(guid, away, wipe=True))
                await agent.until(lambda: agent.whole(guid), f"{away} is a member in sync")
            return read_data(site.path(guid))

        async def delete(agent: Agent) -> None:
            fine(agent, await agent.delete(guid))

        site.agent(make)
        plugs.unplug(away)
        digest = site.agent(without)
        plugs.plug([away])
        assert site.agent(back) == digest, "the data changed"
        site.agent(delete)
        site.check_nothing_left()

    def test_a_new_drive_takes_the_place_of_a_missing_one(self, site: Site) -> None:
        if not {"degraded_open", "add_drive"} <= self.info().capabilities:
            pytest.skip("it does not advertise both degraded_open and add_drive")
        guid, (level, drives) = new_guid(), self.redundancy()
        lost, new = site.serials[0], site.serials[drives]

        async def make(agent: Agent) -> str:
            fine(agent, await agent.create(site.request(guid, level, drives)))
            await agent.until(lambda: agent.whole(guid), "the new pool is in sync")
            digest = write_data(site.path(guid))
            fine(agent, await agent.unmount(guid))
            return digest

        async def replace(agent: Agent) -> str:
            fine(agent, await agent.mount(guid))
            for _ in range(2):
                fine(agent, await agent.add_drive(guid, new, replaces=lost))
            await agent.until(lambda: agent.whole(guid), f"{new} is a member in sync")
            serials = {drive.serial for drive in (await agent.view(guid)).drives}
            assert new in serials
            assert lost not in serials
            fine(agent, await agent.unmount(guid))
            fine(agent, await agent.mount(guid))
            return read_data(site.path(guid))

        async def delete(agent: Agent) -> None:
            await take_for_another_pool(agent, site, lost, drives + 1)
            fine(agent, await agent.delete(guid))

        digest = site.agent(make)
        plugs.unplug(lost)
        assert site.agent(replace) == digest, "the data changed"
        plugs.plug([lost])  # it still says it is a member, and is not wiped with the pool
        site.agent(delete)
        site.check_nothing_left()
