"""What a machine at rest is asked, so that its drives sleep."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from backy_core.sdk import hookimpl
from backy_core.sdk.models import Probe, Unreadable
from backy_core.system.mounts import MountEntry
from tests.core.machine.watched import GUID, Backend, Machine, observing, report, until


class Polling(Backend):
    """Polls ``words``, or raises them if they are an error."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.refresh_s = 0.02
        self.words: str | Exception = "all is well"
        self.polled = 0

    @hookimpl
    async def backy_poll(self, probe: Probe) -> str:
        self.polled += 1
        if isinstance(self.words, Exception):
            raise self.words
        return self.words


async def test_mounts_concern_backends_that_deliver_a_filesystem(machine: Machine) -> None:
    """A mount anywhere on the machine must not wake the drives of the others."""
    backend = Backend("fake")
    backend.delivers = "filesystem"
    mount = MountEntry("8:1", "/", "/srv", frozenset(), "ext4", "/dev/sda", 2, 1)
    async with observing(machine, backend=backend) as watched:
        inspections = backend.asked
        machine.mounts = (mount,)
        machine.devices[0] = replace(machine.devices[0], mountpoint="/srv")
        watched.events.on_mounts()
        await until(lambda: watched.observer.snapshot.mounts == (mount,))
        await until(lambda: backend.asked == inspections + 1)
        assert watched.other.asked == inspections
        watched.events.on_mounts()
        watched.events.on_mdstat()
        watched.events.on_mounts()
        await until(
            lambda: (backend.asked, watched.other.asked) == (inspections + 2, inspections + 1)
        )


async def test_drives_are_looked_for_now_and_then(machine: Machine) -> None:
    async with observing(machine, drives_rescan_s=0.05) as watched:
        machine.devices.pop()
        watched.backend.reports = [report()]
        await until(lambda: len(watched.observer.snapshot.drives) == 1)
        await until(lambda: watched.observer.snapshot.report_for("fake", GUID))


async def test_backends_of_a_machine_at_rest_are_not_asked(machine: Machine) -> None:
    """To inspect its pools a backend may read drives, which would never sleep."""
    async with observing(machine, drives_rescan_s=0.02) as watched:
        inspections, reads, probed = watched.backend.asked, machine.reads, machine.probed[:]
        await until(lambda: machine.reads > reads + 3)
        assert (watched.backend.asked, watched.other.asked) == (inspections, inspections)
        assert machine.probed == probed
        machine.bears = {"sda": "fake_member"}
        watched.observer.forget_signatures(["sda"])
        await until(
            lambda: (
                (watched.backend.asked, watched.other.asked) == (inspections + 1, inspections + 1)
            )
        )


async def test_a_backend_in_doubt_is_asked_again_alone(machine: Machine) -> None:
    async with observing(machine, drives_rescan_s=0.02) as watched:
        for trouble in (RuntimeError("once"), [Unreadable(device="sda", reason="I/O error")]):
            watched.backend.reports = trouble
            await watched.observer.refresh()
            inspections, of_other = watched.backend.asked, watched.other.asked
            await until(lambda: watched.backend.asked > inspections + 1)  # noqa: B023
            watched.backend.reports = []
            await until(lambda: not watched.observer.snapshot.problems)
            await until(lambda: not watched.observer.snapshot.unreadable["fake"])
            assert watched.other.asked == of_other


async def test_a_backend_is_asked_when_what_it_polls_has_changed(machine: Machine) -> None:
    polling = Polling("fake")
    async with observing(machine, backend=polling):
        await until(lambda: polling.polled > 3)
        inspections = polling.asked
        await until(lambda: polling.polled > 6)
        assert polling.asked == inspections
        polling.words = "one member failed"
        await until(lambda: polling.asked == inspections + 1)
        polling.words = RuntimeError("no answer")
        await until(lambda: polling.asked > inspections + 3)


async def test_a_backend_is_asked_again_once_a_filesystem_on_its_pool_gave_up(
    machine: Machine,
) -> None:
    """md says that an array is broken only once it is clean, and no event announces that."""
    mount = MountEntry("8:1", "/", "/srv", frozenset({"rw"}), "ext4", "/dev/md127", 2, 1)
    backend = Backend("fake")
    backend.reports = [report(device="md127", health="degraded")]
    machine.mounts = (mount,)
    async with observing(machine, backend=backend) as watched:
        inspections = backend.asked
        await asyncio.sleep(0.1)
        assert backend.asked == inspections
        machine.mounts = (mount._replace(super_options=frozenset({"ro"})),)
        watched.events.on_mounts()
        await until(lambda: watched.observer.snapshot.mounts == machine.mounts)
        backend.reports = [report(device="md127", health="failed")]
        await until(
            lambda: [r.health for r in watched.observer.snapshot.reports["fake"]] == ["failed"]
        )
        assert watched.other.asked == 1
