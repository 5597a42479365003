"""An agent with mounted pools that nobody uses: `python -m tests.bench.resting_agent 40 DIR`."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from backy_mdadm import hooks

from backy_core.api.app import create_app
from backy_core.api.server.server import Server
from backy_core.cli.sockets import bind
from backy_core.plugins.loading import load_backends
from backy_core.sdk import hookimpl
from backy_core.sdk.models import PoolReport, Probe
from backy_core.sdk.scope import Scope
from backy_core.system import blocks, mounts, signatures
from backy_core.system.machine import LINUX, Machine
from backy_core.system.mounts import MountEntry
from backy_core.system.probing import Probed
from backy_core.system.sysfs import Roots
from backy_core.system.udev import KernelEvents
from tests.bench.many_pools import agent_with, snapshot_of

_FILES = {"size": "8589934592", "ro": "0", "diskseq": "1", "queue/logical_block_size": "512"}


def main(count: int, directory: Path) -> None:
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(_rest(count, directory))


async def _rest(count: int, directory: Path) -> None:
    seen = snapshot_of(count, directory)
    roots = _written(directory, seen.drives)
    host = load_backends(
        installed_backends=(),
        installed_layers=(),
        installed_listeners=(),
        builtin=(("mdadm", _backend(seen.reports["mdadm"])),),
    )
    machine = _machine(roots, seen.mounts)
    agent = agent_with(count, directory, host=host, machine=machine, events=KernelEvents)
    await agent.start()
    if len(agent.observer.snapshot.drives) != 2 * count:
        raise RuntimeError("the agent does not see its drives")
    Server(create_app(agent)).listen(bind("127.0.0.1", 0))
    print("ready", flush=True)
    await asyncio.Event().wait()


def _backend(reports: Sequence[PoolReport]) -> ModuleType:
    """The backend of mdadm, whose arrays this machine's kernel does not know."""

    @hookimpl
    async def backy_inspect(probe: Probe, only: Scope | None) -> Sequence[PoolReport]:
        return [r for r in reports if only is None or only.concerns(r.native_id)]

    backend = ModuleType(hooks.__name__)
    vars(backend).update(vars(hooks), backy_inspect=backy_inspect)
    return backend


def _machine(roots: Roots, mounted: tuple[MountEntry, ...]) -> Machine:
    devices, mount_table, probing = (
        SimpleNamespace(**vars(module)) for module in (blocks, mounts, signatures)
    )
    devices.read_block_devices = partial(blocks.read_block_devices, roots)
    mount_table.read_mounts = lambda: mounted
    probing.probe_each = _blank
    return replace(LINUX, devices=devices, mounts=mount_table, signatures=probing)


async def _blank(nodes: Sequence[str]) -> Probed:
    return Probed({node.rpartition("/")[2]: () for node in nodes})


def _written(directory: Path, drives: Sequence[Any]) -> Roots:
    """A sysfs, a /dev and a database of udev with these drives, each with its array."""
    roots = Roots(directory / "sys", directory / "dev", directory / "udev")
    for path in (roots.sys / "class/block", roots.dev / "disk/by-id", roots.udev_data):
        path.mkdir(parents=True)
    for drive in drives:
        (array,) = drive.device.children
        _device(roots, drive.name, drive.device.majmin, {"device/model": "BENCH"})
        udev = f"E:ID_SERIAL_SHORT={drive.id.serial}\nE:ID_BUS=ata\nE:ID_MODEL=BENCH\n"
        (roots.udev_data / f"b{drive.device.majmin}").write_text(udev)
        (roots.dev / "disk/by-id" / drive.id_link).symlink_to(f"../../{drive.name}")
        _device(roots, array.name, array.majmin, {"md/level": "raid1"})
        slave = roots.sys / "devices" / array.name / "slaves" / drive.name
        slave.mkdir(parents=True)
    return roots


def _device(roots: Roots, name: str, majmin: str, files: dict[str, str]) -> None:
    home = roots.sys / "devices" / name
    major, minor = majmin.split(":")
    uevent = f"MAJOR={major}\nMINOR={minor}\nDEVNAME={name}\nDEVTYPE=disk"
    for key, text in {**_FILES, "uevent": uevent, **files}.items():
        (home / key).parent.mkdir(parents=True, exist_ok=True)
        (home / key).write_text(text + "\n")
    link = roots.sys / "class/block" / name
    if not link.is_symlink():
        link.symlink_to(home)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
