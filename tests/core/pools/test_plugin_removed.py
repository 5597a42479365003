"""A creation was cut off, and its plugin is gone at the next start."""

from __future__ import annotations

from tests.fakes.agent import GUID, Bench


async def test_a_creation_whose_plugin_is_gone_is_undone_when_it_is_back(bench: Bench) -> None:
    await bench.start()
    _die_after_the_array(bench)
    assert await bench.until_crash(bench.create("A", "B"))
    bench.machine.interruptions.reset()

    installed, bench.backends = bench.backends, ()
    agent = await bench.start()
    listed = await agent.drives_service.list()
    reasons = {each.drive.id.serial: str(each.unavailable_because) for each in listed}
    assert "No plugin for backend mdadm is installed" in reasons["A"]
    assert bench.journal, "the journal entry went with the plugin"

    bench.backends = installed
    await bench.restart()
    assert await bench.available() == {"A": True, "B": True, "C": True}
    bench.assert_nothing_left("A", "B", "C")
    assert GUID not in bench.remembered


def _die_after_the_array(bench: Bench) -> None:
    """At the record of the second step's end: the first makes the directory."""
    interruptions = bench.machine.interruptions

    def die() -> None:
        done = [name for name in interruptions.reached if name.startswith("recorded done")]
        if len(done) == 2:
            interruptions.crash_at = len(interruptions.reached) - 1

    interruptions.hooks.append(("recorded done", die))
