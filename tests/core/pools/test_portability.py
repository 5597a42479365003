"""Systems that open a pool: chosen, shown and recorded; and the error where it does not open."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from backy_mdadm.features import BLOCK_SIZE

from backy_core.sdk.errors import Conflict
from backy_core.sdk.models import Requirement
from backy_core.store import opens_on
from backy_core.store.opens_on import OpensOn, lacking, sentence
from tests.fakes.agent import GUID, OTHER, Bench

PARENTS = Requirement(
    feature="XFS parent pointers", kernel="6.10", tool="xfsprogs", tool_version="6.10"
)
CLONING = Requirement(
    feature="zpool feature block_cloning", tool="zfsutils-linux", tool_version="2.2"
)
UNKNOWN = Requirement(feature="an unknown feature (incompat 0x80000000)")
TOOLS = {"xfsprogs": "6.1", "mdadm": "4.2"}


def ext4(incompat: int) -> bytes:
    """The first bytes of a superblock with these features."""
    block = bytearray(1024)
    block[0x38:0x3A] = b"\x53\xef"
    block[0x60:0x64] = struct.pack("<I", incompat)
    return bytes(block)


def md(block_size: int) -> bytes:
    block = bytearray(256)
    block[:8] = struct.pack("<II", 0xA92B4EFC, 1)
    block[224:228] = struct.pack("<I", block_size)
    return bytes(block)


@pytest.mark.parametrize(
    ("found", "kernel", "tools", "because"),
    [
        ([], "6.1", {}, []),
        ([Requirement(feature="old", kernel="5.15")], "6.1", {}, []),
        ([BLOCK_SIZE], "6.19", {}, ["md logical block size: Linux 6.19"]),
        (
            [PARENTS, BLOCK_SIZE],
            "6.19",
            {"xfsprogs": "6.10"},
            [
                "XFS parent pointers: Linux 6.10, xfsprogs 6.10",
                "md logical block size: Linux 6.19",
            ],
        ),
        (
            [CLONING],
            "6.1",
            {"zfsutils-linux": "2.2"},
            ["zpool feature block_cloning: zfsutils-linux 2.2"],
        ),
        (
            [UNKNOWN, PARENTS],
            None,
            {"xfsprogs": "6.10"},
            [
                "an unknown feature (incompat 0x80000000): not known what opens it",
                "XFS parent pointers: Linux 6.10, xfsprogs 6.10",
            ],
        ),
    ],
)
def test_the_least_versions(
    found: list[Requirement], kernel: str | None, tools: dict[str, str], because: list[str]
) -> None:
    result = opens_on.opens_on(TOOLS, found, ("mdadm metadata",))
    assert result == OpensOn(
        kernel=kernel, tools=TOOLS | tools, because=tuple(because), checked=("mdadm metadata",)
    )


def test_versions_are_compared_as_numbers() -> None:
    for running, lacks in {"6.9.12": True, "6.10": False, "6.12.117": False, "7.2": False}.items():
        assert bool(lacking(running, [PARENTS])) is lacks, running
    assert lacking("6.1", [UNKNOWN, CLONING]) == ()


def test_the_backend_decides_where_it_knows_the_support() -> None:
    supported = [PARENTS.model_copy(update={"supported": True})]
    unsupported = [CLONING.model_copy(update={"supported": False})]
    assert lacking("6.1", [*supported, *unsupported, UNKNOWN]) == tuple(unsupported)


def test_the_sentence() -> None:
    running = "6.1.176"
    assert sentence(running, "cold", [PARENTS, BLOCK_SIZE]) == (
        "Pool cold uses XFS parent pointers and md logical block size; that needs Linux 6.19 or "
        "newer, and this machine runs Linux 6.1.176"
    )
    assert sentence(running, "cold", [CLONING]).endswith("; that needs zfsutils-linux 2.2 or newer")
    assert ", which neither this agent nor Linux " in sentence(running, "cold", [UNKNOWN, PARENTS])
    of_zfs = Requirement(feature="zpool feature anamorphic", tool="zfsutils-linux", supported=False)
    assert sentence(running, "cold", [of_zfs]) == (
        "Pool cold uses zpool feature anamorphic, which neither this agent nor the zfsutils-linux "
        "of this machine knows"
    )


async def test_a_pool_of_an_old_kernel_opens_on_the_oldest_system(bench: Bench) -> None:
    bench.machine.linux = "6.12.117"
    await bench.start()
    planned = await bench.agent.pools.dry_run(bench.request())
    assert planned.portability == "portable" and planned.opens_on is not None
    assert (planned.opens_on.kernel, planned.opens_on.checked) == ("6.1", ())
    assert planned.opens_on.tools == {"mdadm": "4.2", "e2fsprogs": "1.47.0"}
    bench.machine.interruptions.when("before mount", lambda: bench.machine.raw.update(md0=b""))
    view = await bench.create()
    assert view.portability == "portable" and view.opens_on is not None
    assert (view.opens_on.kernel, view.opens_on.because) == ("6.1", ())
    await bench.restart()
    assert (await bench.agent.pools.get(GUID)).opens_on == view.opens_on


async def test_what_cannot_be_portable_is_said_beforehand_and_recorded(bench: Bench) -> None:
    bench.machine.linux = "7.2.7"
    await bench.start()
    planned = await bench.agent.pools.dry_run(bench.request())
    assert planned.opens_on is not None and planned.opens_on.kernel == "6.19"
    assert planned.opens_on.because == ("md logical block size: Linux 6.19",)
    stripe = await bench.agent.pools.dry_run(bench.request(level="raid0"))
    assert stripe.opens_on is not None and stripe.opens_on.because == ()
    bench.machine.block_size = "512"
    view = await bench.create()
    assert view.opens_on is not None and view.opens_on.kernel == "6.19"
    assert "mdadm metadata" in view.opens_on.checked
    lines, _ = await bench.agent.pools.outputs(GUID)
    assert lines[-1].endswith("opens this pool: md logical block size: Linux 6.19")


async def test_native_is_left_to_the_tools(bench: Bench) -> None:
    await bench.start()
    planned = await bench.agent.pools.dry_run(bench.request(portability="native"))
    assert (planned.portability, planned.opens_on) == ("native", None)
    assert not any("-O" in step.command for step in planned.steps)
    view = await bench.create(portability="native")
    assert view.portability == "native" and view.opens_on is not None
    assert not any("mkfs" in command and "-O" in command for command in bench.machine.commands)


async def test_another_portability_is_another_pool(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    with pytest.raises(Conflict, match="differs from the request"):
        await bench.create(portability="native")
    _, repeated = await bench.agent.pools.create(bench.request())
    assert repeated is None


async def _shelved(bench: Bench, **changes: Any) -> None:
    await bench.start()
    await bench.create(**changes)
    await bench.unmount()


async def test_a_filesystem_too_new_for_the_kernel_is_told_in_a_sentence(bench: Bench) -> None:
    bench.machine.linux = "6.1.176"
    await _shelved(bench)
    bench.machine.interruptions.fail("mount -t")

    def damage() -> None:
        bench.machine.raw.update(dict.fromkeys(bench.machine.arrays, ext4(0x40000000)))

    bench.machine.interruptions.when("before mount", damage)
    error = await bench.mount()
    assert error is not None and error.message == (
        "Pool backup-1 uses an unknown feature (incompat 0x40000000), which neither this agent nor "
        "Linux 6.1.176 knows"
    )
    assert error.details and "could not be mounted" in error.details
    assert not bench.machine.arrays, "the array was stopped again"
    bench.machine.raw.clear()
    bench.machine.interruptions.reset()
    assert await bench.mount() is None


async def test_another_failure_keeps_its_own_words(bench: Bench) -> None:
    await _shelved(bench)
    bench.machine.interruptions.fail("mount -t")

    def whole() -> None:
        bench.machine.raw.update(dict.fromkeys(bench.machine.arrays, ext4(0x2C2)))

    bench.machine.interruptions.when("before mount", whole)
    error = await bench.mount()
    assert error is not None and "could not be mounted" in error.message


async def test_an_array_too_new_for_the_kernel_is_told_before_anyone_tries(bench: Bench) -> None:
    bench.machine.linux = "6.12.117"
    await _shelved(bench)
    bench.machine.raw = {disk.name: md(512) for disk in bench.machine.disks.values()}
    bench.machine.interruptions.fail("mdadm --assemble")
    told = (
        "Pool backup-1 uses md logical block size; that needs Linux 6.19 or newer, and this "
        "machine runs Linux 6.12.117"
    )
    error = await bench.mount()
    assert error is not None and error.message == told
    await bench.agent.pools.forget(GUID)
    (found,) = await bench.agent.pools.importable()
    assert found.cannot_open_because is not None
    assert "; that needs Linux 6.19 or newer" in found.cannot_open_because
    assert found.opens_on is not None
    assert (found.opens_on.kernel, found.opens_on.checked) == ("6.19", ("mdadm metadata",))
    assert found.guid != OTHER


async def test_without_a_look_nothing_is_said(
    bench: Bench,
) -> None:
    """None of the superblocks of a shelved array can be read."""
    await _shelved(bench)
    recorded = (await bench.agent.pools.get(GUID)).opens_on
    assert recorded is not None
    await bench.agent.pools.forget(GUID)
    (found,) = await bench.agent.pools.importable()
    assert (found.opens_on, found.cannot_open_because) == (None, None)
    imported = await bench.agent.pools.import_pool(GUID, None, None)
    assert (imported.opens_on, imported.portability) == (None, None)
    assert await bench.mount() is None
    assert (await bench.agent.pools.get(GUID)).opens_on == recorded
