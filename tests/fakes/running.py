"""Programs on the fake machine, with the faults and points that a test asks for."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Sequence
from typing import Any

from backy_core.system.exec import CommandFailed, Outcome
from tests.fakes.interruptions import Crash, How
from tests.fakes.machine import FakeMachine
from tests.fakes.programs import Answer, Programs

_LOOKS = ("mdadm --examine",)
_HUNG_S = 600.0
_NONSENSE = str.maketrans("aeiou:=", "\x00\uffff\x1b{[;%")


def _told(answer: Answer, fault: How | None) -> Answer:
    """The answer of a program that changes nothing, as the fault spoils it."""
    code, stdout, stderr = answer
    if fault is How.TORN:
        return code, stdout[: len(stdout) // 2], stderr
    if fault is How.GARBAGE:
        return code, stdout.translate(_NONSENSE), stderr
    return (1, "", "it does not work today") if fault is How.STATUS else answer


class FakePrograms:
    def __init__(self, machine: FakeMachine) -> None:
        self.machine = machine
        self.programs = Programs(machine)
        self.orphans: dict[int, Callable[[], object]] = {}
        """Programs that outlived the agent which started them."""
        self.gates: dict[str, asyncio.Event] = {}
        """Commands that contain the words take until the event is set."""
        self._pids = iter(range(50_000, 10_000_000))

    async def run(self, argv: Sequence[str], **how: Any) -> Outcome:
        words = tuple(argv)
        command = shlex.join(words)
        if command.startswith(_LOOKS):
            self.machine.interruptions.alive()
            fault = self.machine.interruptions.fault(f"look {argv[1]}")
            return self._outcome(words, _told(self.programs.run(words), fault), how)
        return await self._run(words, command, how)

    async def _run(self, argv: tuple[str, ...], command: str, how: dict[str, Any]) -> Outcome:
        machine = self.machine
        fault = self.begun(command)
        if fault is How.VANISHED:
            outcome = Outcome(argv, None, "", "", 0.0)
            raise CommandFailed(f"{argv[0]} is not installed", outcome, final=True)
        self._announce(how, argv)
        await self._wait_at_gate(command)
        if fault is How.HUNG:
            await asyncio.sleep(_HUNG_S)
        answer = self.answer(argv, fault)
        machine.interruptions.point(f"after {command}")
        return self._outcome(argv, answer, how)

    def begun(self, command: str) -> How | None:
        self.machine.commands.append(command)
        self.machine.interruptions.point(f"before {command}")
        fault = self.machine.interruptions.fault(command)
        if fault is How.BROKEN:
            raise ValueError(f"the parser tripped over {command}")
        return fault

    async def _wait_at_gate(self, command: str) -> None:
        await asyncio.sleep(0)
        for words, gate in self.gates.items():
            if words in command:
                await gate.wait()

    def _announce(self, how: dict[str, Any], argv: tuple[str, ...]) -> None:
        """A program that was started goes on, whatever becomes of the agent."""
        pid = next(self._pids)
        if how.get("on_start") is None:
            return
        try:
            how["on_start"](pid, float(pid))
        except Crash:
            if self.machine.interruptions.reached[-1].startswith("torn"):
                self.programs.run(argv)  # nobody knows of it, so nobody can wait for it
            else:
                self.orphans[pid] = lambda: self.programs.run(argv)
            raise

    def answer(self, argv: tuple[str, ...], fault: How | None) -> Answer:
        if fault is How.STATUS:
            return 1, "", "it does not work today"
        if fault is How.SILENT:
            return 0, "", ""
        answer = self.programs.run(argv, half=fault is How.HALF)
        return (1, "", "it says that it failed") if fault is How.DONE else answer

    def _outcome(self, argv: tuple[str, ...], answer: Answer, how: dict[str, Any]) -> Outcome:
        code, stdout, stderr = answer
        for line in (stdout + stderr).splitlines():
            if how.get("on_line"):
                how["on_line"](line)
        outcome = Outcome(argv, code, stdout, stderr, 0.0)
        if how.get("check", True) and code not in how.get("ok_codes", (0,)):
            raise CommandFailed(f"{argv[0]} exited with status {code}", outcome)
        return outcome

    async def wait_for_exit(self, pid: int, start_time: float, timeout_s: float) -> bool:
        assert start_time == float(pid)
        self.orphans.pop(pid, lambda: None)()
        return True

    async def all_ended(self) -> None:
        pass

    def installed(self, program: str) -> bool:
        return program in self.machine.programs
