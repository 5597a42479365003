"""Checks around a power cut after which the drives come up in another order.

One half runs before, the other after; between them the author's lab cuts the power and boots with
the drives renumbered. ``BACKY_CONTRACT_DIR`` names a persistent directory.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from backy_core.testing import machine, permission
from backy_core.testing.agent import Agent, fine, new_guid, read_data, write_data
from backy_core.testing.onsite import OnSite, telling
from backy_core.testing.site import Site

DIRECTORY = "BACKY_CONTRACT_DIR"


class RebootContract(OnSite):
    """A pool that is in use, and a creation that is cut off, on the drives beside it."""

    @pytest.fixture
    def site(self, request: pytest.FixtureRequest) -> Iterator[Site]:
        why = permission.why_not()
        if why is not None or DIRECTORY not in os.environ:
            why = why or f"{DIRECTORY} must name a directory that outlives a power cut"
            if permission.required():
                pytest.fail(why, pytrace=False)
            pytest.skip(why)
        directory = Path(os.environ[DIRECTORY])
        yield Site(directory, type(self), permission.permission(), telling(request))

    def test_before_the_power_goes(self, site: Site) -> None:
        pool_guid, cut_off, (level, drives) = new_guid(), new_guid(), self.usual()
        mine, beside = site.serials[:drives], site.serials[drives : 2 * drives]
        assert len(beside) == drives, f"{2 * drives} drives are needed"

        async def leave(agent: Agent) -> bool:
            fine(agent, await agent.create(site.request(pool_guid, level, drives)))
            remembered = {
                "digest": write_data(site.path(pool_guid)),
                "made": pool_guid,
                "cut_off": cut_off,
                "names": {serial: machine.names()[serial] for serial in (*mine, *beside)},
            }
            (site.directory / "before.json").write_text(json.dumps(remembered))
            os.sync()
            agent.tap.crash_at("create", self.moment)
            await agent.create(site.request(cut_off, level, drives, first=drives))
            return True

        assert site.killed(leave), "the creation was not cut off"
        machine.await_that(lambda: _written(beside), "the interrupted program has written")
        os.sync()

    moment = 1
    """Of the creation: its first program has begun; it ends its work without the agent."""

    def test_after_it_is_back(self, site: Site) -> None:
        before = json.loads((site.directory / "before.json").read_text())
        renamed = {s for s, name in before["names"].items() if machine.names()[s] != name}
        assert renamed, "no drive has another name than before: boot with another order"

        async def settled(agent: Agent) -> None:
            assert not await agent.known(before["cut_off"]), "half of a creation stands"
            view = await agent.view(before["made"])
            assert view.state == "ready", f"the pool is {view.state}: {view.error_message}"
            assert read_data(site.path(before["made"])) == before["digest"], "the data changed"
            fine(agent, await agent.delete(before["made"]))

        site.agent(settled)
        site.check_nothing_left()


def _written(serials: Sequence[str]) -> bool:
    now = machine.names()
    return bool(machine.signatures(now[serial] for serial in serials))
