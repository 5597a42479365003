"""Layers over a pool's device: one plan for the whole stack, up and down."""

from __future__ import annotations

import types

import pytest

from backy_core.sdk import hookimpl
from backy_core.sdk.errors import InvalidRequest, SystemFailure
from backy_core.sdk.models import Probe
from backy_core.sdk.naming import layer_identity
from backy_core.sdk.stack import LayerReport
from tests import linear_layer
from tests.fakes.agent import GUID, Bench
from tests.fakes.interruptions import How, each_fault
from tests.fakes.model import Content

ONE, TWO = (f"backy-{layer_identity(GUID, number, 'linear')}" for number in (1, 2))
_STEPS = ("mdadm --create", "mdadm --stop", "dmsetup", "wipefs", "mkfs", "mount", "umount")


def short(commands: list[str]) -> list[str]:
    """The commands that change the stack, in a word or two each."""
    names = {ONE: "layer 1", TWO: "layer 2"}
    words_of: list[str] = []
    for command in commands:
        if not command.startswith((*_STEPS, "mdadm --assemble")):
            continue
        words = command.split()
        if words[0] == "dmsetup":
            words_of.append(f"{words[1]} {names[next(word for word in words if word in names)]}")
        else:
            words_of.append(" ".join(words[:2]) if words[0] == "mdadm" else words[0])
    return words_of


async def test_create_and_open_go_up_close_and_teardown_go_down(bench: Bench) -> None:
    bench.layered(2)
    await bench.start()
    view = await bench.create()
    assert view.state == "ready", view.error_message
    assert short(bench.machine.commands) == [
        *("mdadm --create", "create layer 1", "create layer 2", "mkfs.ext4", "mount")
    ]
    (mount,) = bench.machine.mounts
    top = bench.machine.mappings[mount.device]
    assert (view.device, top.title) == (mount.device, TWO)
    assert bench.machine.mappings[top.below].title == ONE

    bench.machine.commands.clear()
    assert await bench.unmount() is None
    assert short(bench.machine.commands) == [
        *("umount", "remove layer 2", "remove layer 1", "mdadm --stop")
    ]
    assert await bench.state() == "unmounted"

    bench.machine.commands.clear()
    assert await bench.mount() is None
    assert short(bench.machine.commands) == [
        *("mdadm --assemble", "create layer 1", "create layer 2", "mount")
    ]

    bench.machine.commands.clear()
    assert await bench.delete() is None
    assert short(bench.machine.commands) == [
        *("umount", "wipefs", "remove layer 2", "remove layer 1", "mdadm --stop"),
        *("wipefs", "wipefs"),
    ]
    bench.assert_nothing_left("A", "B")


async def test_the_device_below_a_layer_is_cleared_before_and_after(bench: Bench) -> None:
    """A layer with a header leaves it there; here it is an old filesystem's."""
    bench.layered()
    await bench.start()
    await bench.create()
    (array,) = bench.machine.arrays.values()
    array.volume.content.append(Content("crypto_LUKS", GUID))
    bench.machine.commands.clear()
    assert await bench.delete() is None
    mapped = bench.machine.commands
    closed = next(n for n, command in enumerate(mapped) if "dmsetup remove" in command)
    assert f"wipefs --all /dev/{array.name}" in mapped[closed:]
    bench.assert_nothing_left("A", "B")


@each_fault(["dmsetup create", "mkfs.ext4", "mount -t"])
async def test_a_failed_creation_closes_from_the_top(bench: Bench, words: str, how: How) -> None:
    bench.layered(2)
    await bench.start()
    bench.machine.interruptions.fail(words, how)
    view = await bench.create()
    if how is How.HALF and words.startswith("mount"):
        assert view.state == "ready"
        return
    assert view.state == "failed" and view.error_message
    bench.assert_nothing_left("A", "B")
    assert await bench.available() == {"A": True, "B": True, "C": True}


async def test_a_pool_is_active_only_if_its_top_layer_is(bench: Bench) -> None:
    bench.layered()
    await bench.start()
    await bench.create()
    await bench.unmount()
    bench.machine.assemble_all()
    await bench.agent.observer.refresh()
    view = await bench.agent.pools.get(GUID)
    assert (view.state, view.device) == ("unmounted", None)
    assert await bench.mount() is None
    assert await bench.state() == "ready"


async def test_a_restart_finds_its_layers_again(bench: Bench) -> None:
    bench.layered()
    await bench.start()
    await bench.create()
    await bench.restart()
    assert await bench.state() == "ready"
    await bench.stop()
    bench.machine.reboot(assembled=True)
    await bench.start()
    assert await bench.state() == "ready"
    assert bench.remembered[GUID].layers[0].kind == "linear"
    assert await bench.delete() is None
    bench.assert_nothing_left("A", "B")


async def test_a_creation_whose_layer_plugin_is_gone_is_undone_when_it_is_back(
    bench: Bench,
) -> None:
    bench.layered()
    await bench.start()
    bench.machine.interruptions.when("recorded done layer-1-map", lambda: _die(bench))
    assert await bench.until_crash(bench.create("A", "B"))
    bench.machine.interruptions.reset()

    installed, bench.layers = bench.layers, ()
    agent = await bench.start()
    listed = await agent.drives_service.list()
    reasons = {line.drive.id.serial: str(line.unavailable_because) for line in listed}
    assert "No plugin for layer linear is installed" in reasons["A"]
    assert bench.journal, "the journal entry went with the plugin"

    bench.layers = installed
    await bench.restart()
    assert await bench.available() == {"A": True, "B": True, "C": True}
    bench.assert_nothing_left("A", "B", "C")


def _die(bench: Bench) -> None:
    bench.machine.interruptions.crash_at = len(bench.machine.interruptions.reached) - 1


async def test_a_pool_whose_layer_plugin_is_gone_is_left_alone(bench: Bench) -> None:
    bench.layered()
    await bench.start()
    await bench.create()
    installed, bench.layers = bench.layers, ()
    await bench.restart()
    for refused in (bench.unmount, bench.delete):
        with pytest.raises(SystemFailure, match="No plugin for layer linear is installed"):
            await refused()
    assert bench.machine.mappings
    bench.layers = installed
    await bench.restart()
    assert await bench.delete() is None
    bench.assert_nothing_left("A", "B")


async def test_a_deletion_whose_layer_cannot_be_inspected_stays_pending(bench: Bench) -> None:
    bench.layered()
    await bench.start()
    await bench.create()
    bench.machine.interruptions.when("recorded done layer-1-unmap", lambda: _die(bench))
    assert await bench.until_crash(bench.delete())
    bench.machine.interruptions.reset()

    installed, bench.layers = bench.layers, (("linear", blind()),)
    await bench.start()
    assert bench.journal
    assert bench.machine.disks["A"].superblock, "it was wiped"
    assert not (await bench.available())["A"]

    bench.layers = installed
    await bench.restart()
    bench.assert_nothing_left("A", "B")


def blind() -> object:
    """The layer, unable to inspect anything."""

    @hookimpl
    async def backy_inspect_layers(probe: Probe) -> list[LayerReport]:
        raise OSError("it cannot be read")

    module = types.ModuleType("blind")
    vars(module).update(vars(linear_layer))
    module.backy_inspect_layers = backy_inspect_layers  # type: ignore[attr-defined]
    return module


async def test_an_unknown_layer_is_refused(bench: Bench) -> None:
    bench.layered()
    bench.layers = ()
    await bench.start()
    with pytest.raises(InvalidRequest, match="No plugin for layer linear is installed"):
        await bench.create()


async def test_the_plan_shows_each_layer(bench: Bench) -> None:
    bench.layered()
    await bench.start()
    planned = await bench.agent.pools.dry_run(bench.request())
    titles = [step.title for step in planned.steps]
    assert titles[-5:] == [
        *("Clearing stale content", "Opening the layer", "Clearing stale content"),
        *("Formatting ext4", f"Mounting at {bench.path()}"),
    ]
