"""Ring two: the backend's plans run by the real agent on a real kernel."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle

import pytest

from backy_core.pools.views import PlannedStep
from backy_core.sdk.models import Level
from backy_core.system import directories
from backy_core.testing import hostile, machine, plugs, specs
from backy_core.testing.agent import (
    Agent,
    fine,
    new_guid,
    plain,
    read_data,
    refused,
    write_data,
)
from backy_core.testing.onsite import OnSite
from backy_core.testing.plans import PlanContract
from backy_core.testing.site import Site

_MANGLINGS = 150
_LABELS = (specs.LABELS[3], specs.LABELS[6], specs.LABELS[4], specs.LABELS[7], specs.LABELS[1])


class KernelContract(OnSite):
    """A pool's life, with each call repeated; what looking may do; what is left at the end."""

    def test_a_pools_life_planned_dry_then_run_with_every_call_repeated(self, site: Site) -> None:
        guid, (level, drives) = new_guid(), self.usual()
        request = site.request(guid, level, drives, label=specs.LABELS[2])

        async def life(agent: Agent) -> None:
            promised = await agent.runtime.pools.dry_run(request)
            assert not agent.tap.commands, "a dry run ran something"
            for _ in range(2):
                fine(agent, await agent.create(request))
            _check_promise(promised.steps, list(agent.tap.commands), guid)
            report = await agent.report(guid)
            assert report is not None, "the backend does not report the pool it made"
            assert (report.presence, report.guid, report.usable) == ("active", guid, True)
            seen = {drive.serial for drive in report.drives}
            assert seen == set(request.drive_serials), f"the members are reported as {seen}"
            assert (await agent.view(guid)).state == "ready"
            digest = write_data(site.path(guid))
            for _ in range(2):
                fine(agent, await agent.unmount(guid))
            assert (await agent.view(guid)).state == "unmounted"
            for _ in range(2):
                fine(agent, await agent.mount(guid))
            assert read_data(site.path(guid)) == digest, "the data changed"
            for _ in range(2):
                fine(agent, await agent.delete(guid))

        site.agent(life)
        site.check_nothing_left()

    def test_every_level(self, site: Site) -> None:
        """Each with another label: what is odd in a name must not depend on the level."""
        labelled = list(zip(self.info().levels, cycle(_LABELS), strict=False))

        async def each(agent: Agent) -> list[str]:
            failures = [await one(agent, level, label) for level, label in labelled]
            return [failure for failure in failures if failure]

        async def one(agent: Agent, level: Level, label: str) -> str:
            try:
                await _made_and_deleted(agent, site, level, label)
                await asyncio.to_thread(machine.check_clean, site.serials)
            except AssertionError as error:
                return f"{level.name} named {label!r}: {error}"
            return ""

        failures = site.agent(each)
        assert not failures, "\n".join(failures)
        site.check_nothing_left()

    def test_looking_changes_nothing_and_survives_mangled_output(self, site: Site) -> None:
        guid, (level, drives) = new_guid(), self.usual()

        async def make(agent: Agent) -> list[hostile.Recorded]:
            fine(agent, await agent.create(site.request(guid, level, drives)))
            running = await _recorded(agent)
            fine(agent, await agent.unmount(guid))
            return [running, await _recorded(agent)]

        async def look(agent: Agent) -> list[object]:
            return [await agent.report(guid) for _ in range(3)]

        shown = site.agent(make)
        machine.settle()
        before = [machine.checksum(serial) for serial in site.serials[:drives]]
        looks = site.agent(look)
        after = [machine.checksum(serial) for serial in site.serials[:drives]]
        assert before == after, "drives changed while they were only looked at"
        assert looks[0] is not None, "a closed pool is not reported"
        assert looks[0] == looks[1] == looks[2], "looks at a pool at rest differ"
        rules = type("Rules", (PlanContract,), {"backend": self.backend})()
        for real in shown:
            rules.check_not_overlooked(real, guid)
            for spoilt in hostile.mangled(real, _MANGLINGS):
                rules.inspect_twice(spoilt)

    def test_any_backend_accepts_the_drives_afterwards(self, site: Site) -> None:
        level, drives = self.usual()

        async def one_after_the_other(agent: Agent) -> list[str]:
            host, own = agent.runtime.host, self.info().name
            able = [name for name, backend in host.backends.items() if not backend.missing_tools()]
            for name in [name for name in able if name != own] or [own]:
                first = host.backends[name].info.levels[0]
                request = site.request(new_guid(), first.name, first.min_drives)
                other_request = replace(request, backend=name, filesystem=None)
                mine = site.request(new_guid(), level, drives)
                for pool_request in (mine, other_request):
                    fine(agent, await agent.create(pool_request))
                    fine(agent, await agent.delete(str(pool_request.guid)))
            return able

        assert site.agent(one_after_the_other, others=True)
        site.check_nothing_left()

    def test_a_pool_that_nobody_remembers_is_found_and_adopted(self, site: Site) -> None:
        guid, (level, drives) = new_guid(), self.usual()

        async def lose_and_find(agent: Agent) -> None:
            pools = agent.runtime.pools
            fine(agent, await agent.create(site.request(guid, level, drives)))
            digest = write_data(site.path(guid))
            fine(agent, await agent.unmount(guid))
            await pools.forget(guid)
            directories.remove_directories([site.path(guid)])  # whose it was is forgotten as well
            assert guid in {found.guid for found in await pools.importable()}, "it is not found"
            for _ in range(2):
                view = await pools.import_pool(guid, None, site.path(guid))
                assert (view.guid, view.level) == (guid, level)
            fine(agent, await agent.mount(guid))
            assert read_data(site.path(guid)) == digest, "the data changed"
            fine(agent, await agent.delete(guid))

        site.agent(lose_and_find)
        site.check_nothing_left()

    def test_what_it_does_not_advertise_is_refused(self, site: Site) -> None:
        guid, (level, drives) = new_guid(), self.usual()
        able, away = self.info().capabilities, site.serials[drives - 1]
        if {"add_drive", "degraded_open"} <= able:
            pytest.skip("it advertises all there is")

        async def make(agent: Agent) -> None:
            fine(agent, await agent.create(site.request(guid, level, drives)))
            if "add_drive" not in able:
                refused(await agent.add_drive(guid, site.serials[-1]), "adding a drive")
            fine(agent, await agent.unmount(guid))

        async def without(agent: Agent) -> None:
            refused(await agent.mount(guid), "opening it without one of its drives")

        async def whole(agent: Agent) -> None:
            fine(agent, await agent.mount(guid))
            fine(agent, await agent.delete(guid))

        site.agent(make)
        if "degraded_open" not in able:
            plugs.unplug(away)
            site.agent(without)
            plugs.plug([away])
        site.agent(whole)
        site.check_nothing_left()


async def _made_and_deleted(agent: Agent, site: Site, level: Level, label: str) -> None:
    guid = new_guid()
    request = site.request(guid, level.name, level.min_drives, label=label)
    fine(agent, await agent.create(request))
    report = await agent.report(guid)
    assert report is not None, "it is not reported"
    assert report.level == level.name, f"it is reported as {report.level}"
    assert report.expected_members == level.min_drives, report
    assert not [m for m in report.members if m.state in ("failed", "missing")], report
    fine(agent, await agent.delete(guid))


def _check_promise(promised: Sequence[PlannedStep], run: list[str], guid: str) -> None:
    """The dry run is the run; only what is chosen at random each time may differ."""
    bare = [step.title for step in promised if not step.undo and step.effect == "reversible"]
    assert not bare, f"steps that say they are reversible have no undo: {bare}"
    assert [plain(step.command, guid) for step in promised] == [plain(c, guid) for c in run]


async def _recorded(agent: Agent) -> hostile.Recorded:
    """Everything the backend's own inspect is shown now."""
    (name,) = agent.runtime.host.backends
    probe = hostile.RecordingProbe(await agent.runtime.observer.probe(name))
    await agent.runtime.host.inspect(name, probe)
    return probe.recorded
