"""One simulated machine and its administrator, who has no luck: what happens is up to the seed."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from backy_core.operations.records import Operation
from backy_core.sdk.errors import BackyError
from tests.fakes.agent import Bench
from tests.fakes.interruptions import LIES, How
from tests.fakes.model import Volume
from tests.simulation.invariants import Promises, check
from tests.simulation.time import NoThreads, SimulatedClock

SERIALS = ("A", "B", "C", "D", "E", "F")
_FAULTS = {
    **dict.fromkeys(("mdadm --create", "mdadm --assemble", "mdadm --stop", "mdadm --manage"), LIES),
    **dict.fromkeys(("mkfs", "mount ", "umount", "wipefs"), LIES),
    **dict.fromkeys(("mkdir", "rmdir", "chattr"), (How.STATUS, How.SILENT)),
    "look --examine": (How.STATUS, How.TORN, How.GARBAGE),
    **dict.fromkeys(("write ", "write pool-metadata", ".jsonl", "sync "), (How.STATUS,)),
}
"""What may go wrong with each command, and with the disk of the agent's own files."""
_PATIENCE_S = 48 * 3600.0
"""Of simulated time: whoever takes longer hangs."""
_MOST_POINTS = 60
Act = Callable[[], Awaitable[None]]


class World:
    """Acts, with faults or without, and after each act the invariants are checked."""

    def __init__(self, seed: int, directory: Path) -> None:
        self.random = random.Random(seed)
        self.promises = Promises()
        self.history: list[str] = []
        self.operations = 0
        self._clock = SimulatedClock()
        self._bench = Bench(directory)
        self._bench.clock = lambda: self._clock
        self._bench.calls = NoThreads()
        self._bench.patience_s = _PATIENCE_S
        self._bench.pause_s = 1.0
        self._acts: tuple[tuple[int, Act], ...] = (
            *((6, self._create), (6, self._mount), (6, self._unmount), (4, self._delete)),
            *((3, self._add), (2, self._unplug), (3, self._plug), (1, self._forget)),
            *((1, self._restart), (1, self._power_cut), (1, self._set_clock)),
        )
        for serial in SERIALS:
            self._bench.machine.add(serial)

    async def live(self, acts: int) -> None:
        """Start, act this often, and end with a machine on which everything works again."""
        await self._bench.start()
        weights = [weight for weight, _ in self._acts]
        for _ in range(acts):
            ((_, act),) = self.random.choices(self._acts, weights)
            await self._disturbed(act)
            await check(self._bench, self.promises)
        await self._all_well()
        await self._bench.stop()

    async def _disturbed(self, act: Act) -> None:
        self.history.append(act.__name__.strip("_"))
        interruptions = self._bench.machine.interruptions
        interruptions.reset()
        self.promises.untidy = False
        luck = self.random.random()
        if luck < 0.3:
            self._break_something()
        elif luck < 0.6:
            interruptions.crash_at = self.random.randrange(_MOST_POINTS)
        crashed = await self._bench.until_crash(self._within_patience(act))
        while crashed:
            self.history.append(f"crash at {interruptions.reached[-1]}")
            crashed = await self._next_agent()
        interruptions.reset()

    async def _within_patience(self, act: Act) -> None:
        async with asyncio.timeout(_PATIENCE_S):
            await act()
            await self._bench.settled()

    def _break_something(self) -> None:
        words = self.random.choice(tuple(_FAULTS))
        how = self.random.choice(_FAULTS[words])
        self.promises.untidy = words == "rmdir"
        times = self.random.choice((1, 2, 1_000_000))
        self.history.append(f"{words.strip()} {how.name} {times}x")
        self._bench.machine.interruptions.fail(words, how, times)

    async def _next_agent(self) -> bool:
        """Change the machine and start the next agent; True if that one dies as well."""
        machine, interruptions = self._bench.machine, self._bench.machine.interruptions
        interruptions.reset()
        meanwhile = self.random.choice(("nothing", "renumbered", "power cut", "cut and assembled"))
        self.history.append(meanwhile)
        orphans = self._bench.fakes.orphans
        if meanwhile == "renumbered":
            for finish in tuple(orphans.values()):
                finish()
            machine.renumber()
        elif meanwhile != "nothing":
            machine.reboot(assembled=meanwhile == "cut and assembled")
        if meanwhile != "nothing":
            orphans.clear()
        if self.random.random() < 0.3:
            interruptions.crash_at = self.random.randrange(_MOST_POINTS)
        return await self._bench.until_crash(self._within_patience(self._start))

    async def _start(self) -> None:
        await self._bench.start()

    # what an administrator does

    async def _asked(self, call: Awaitable[object]) -> bool:
        """Whether it was done, without an error that was told."""
        self.operations += 1
        try:
            answer = await call
            operation = answer[1] if isinstance(answer, tuple) else answer
            if isinstance(operation, Operation):
                await operation.ended()
                if operation.error is not None:
                    self.history.append(f"told: {operation.error}")
                    return False
        except BackyError as error:
            self.history.append(f"told: {error}")
            return False
        return True

    async def _create(self) -> None:
        guid = str(uuid.UUID(int=self.random.getrandbits(128), version=4))
        serials = self.random.sample(SERIALS, 2)
        self.history.append(f"{guid} of {serials}")
        request = self._bench.request(*serials, guid=guid)
        if await self._asked(self._bench.agent.pools.create(request)):
            self.promises.ready(guid, volume_of(self._bench, guid))

    def _any_pool(self) -> str | None:
        entries = self._bench.agent.pools._core.metadata.entries()
        guids = sorted(entry.guid for entry in entries)
        chosen = self.random.choice(guids) if guids else None
        self.history.append(str(chosen))
        return chosen

    async def _mount(self) -> None:
        if guid := self._any_pool():
            await self._asked(self._bench.agent.pools.mount(guid))

    async def _unmount(self) -> None:
        if guid := self._any_pool():
            await self._asked(self._bench.agent.pools.unmount(guid))

    async def _delete(self) -> None:
        if guid := self._any_pool():
            data = self.promises.doomed(guid)
            try:
                operation = await self._bench.agent.pools.delete(guid)
            except BackyError as refusal:
                self.history.append(f"refused: {refusal}")
                self.promises.spared(guid, data)
            else:
                await self._asked(operation.wait())

    async def _add(self) -> None:
        if guid := self._any_pool():
            serial = self.random.choice(SERIALS)
            call = self._bench.agent.pools.add_drive(
                guid, serial=serial, dev_path=None, replaces=None, wipe=False
            )
            await self._asked(call)

    async def _forget(self) -> None:
        if guid := self._any_pool():
            self.promises.forgotten.add(guid)
            with suppress(BackyError):
                await self._bench.agent.pools.forget(guid)
            await self._asked(self._bench.agent.pools.import_pool(guid, None, None))

    async def _unplug(self) -> None:
        machine = self._bench.machine
        if len(machine.disks) > len(SERIALS) - 2:
            serial = self.random.choice(sorted(machine.disks))
            machine.unplug(serial)
            entries = self._bench.remembered.values()
            self.promises.harmed |= {e.guid for e in entries if serial in e.drive_serials}
            await self._asked(self._bench.agent.observer.refresh())

    async def _plug(self) -> None:
        for serial in sorted(self._bench.machine.shelf):
            self._bench.machine.plug(serial)
        await self._asked(self._bench.agent.observer.refresh())

    async def _restart(self) -> None:
        await self._bench.restart()

    async def _power_cut(self) -> None:
        self._bench.machine.interruptions.crash_at = len(self._bench.machine.interruptions.reached)
        self._bench.machine.interruptions.point("the power goes")

    async def _set_clock(self) -> None:
        self._clock.offset_s += self.random.uniform(-86400, 86400)

    async def _all_well(self) -> None:
        """With every drive back and no faults, each pool opens and nothing is left over."""
        self._bench.machine.interruptions.reset()
        await self._plug()
        await self._restart()
        for guid in sorted(self._bench.remembered):
            await self._asked(self._bench.agent.pools.mount(guid))
        self.promises.at_rest = True
        await check(self._bench, self.promises)


def volume_of(bench: Bench, guid: str) -> Volume:
    """The content of a pool, by any of its drives."""
    machine = bench.machine
    for disk in (*machine.disks.values(), *machine.shelf.values()):
        if disk.superblock is not None and disk.superblock.uuid == guid:
            return disk.superblock.volume
    raise AssertionError(f"no drive bears pool {guid}")
