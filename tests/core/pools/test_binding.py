"""One text of a step: in the dry run, in the journal and in what is run."""

from __future__ import annotations

import json
import re

from tests.fakes.agent import GUID, Bench

_DEVICE = re.compile(rf"'?<device of pool {GUID}>'?|/dev/md\d+")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


async def test_dry_run_journal_and_run_show_one_text(bench: Bench) -> None:
    await bench.start()
    journalled = _journalled(bench)
    planned = await bench.agent.pools.dry_run(bench.request())
    assert (await bench.create()).state == "ready"
    lines, _ = await bench.agent.pools.outputs(GUID)
    ran = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    assert len(ran) > 3 and set(ran) <= set(journalled)
    shown = [_plain(step.command) for step in planned.steps]
    begun = [_plain(command) for command in journalled]
    assert [command for command in shown if command in begun] == begun


async def test_a_drive_that_is_renamed_meanwhile_is_looked_up_again(bench: Bench) -> None:
    """What was journalled is not run on another drive; the next attempt is journalled anew."""
    await bench.start()
    journalled = _journalled(bench)
    renamed: list[str] = []

    def rename() -> None:
        if not renamed and "--create" in journalled[-1]:
            renamed.append(journalled[-1])
            bench.machine.renumber()

    bench.machine.interruptions.when("recorded begun", rename)
    assert (await bench.create()).state == "ready"
    (made,) = [command for command in bench.machine.commands if "--create" in command]
    assert [command for command in journalled if "--create" in command] == [*renamed, made]


async def test_a_drive_that_is_renamed_each_time_is_given_up(bench: Bench) -> None:
    await bench.start()
    journalled = _journalled(bench)

    def rename() -> None:
        if "--create" in journalled[-1]:
            bench.machine.renumber()

    bench.machine.interruptions.when("recorded begun", rename)
    view = await bench.create()
    assert view.state == "failed"
    assert "and was /dev/" in str(view.error_message)
    assert not [command for command in bench.machine.commands if "--create" in command]


def _journalled(bench: Bench) -> list[str]:
    """Commands of the steps that begin, as the journal has them."""
    commands: list[str] = []

    def read() -> None:
        (name,) = bench.journal
        *_, last = (bench.settings.journal_dir / name).read_text().splitlines()
        commands.append(json.loads(last)["command"])

    bench.machine.interruptions.when("recorded begun", read)
    return commands


def _plain(command: str) -> str:
    return _UUID.sub("UUID", _DEVICE.sub("DEVICE", command))
